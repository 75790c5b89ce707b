package dsdoctor_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/datastore"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/internal/doctor"
	"github.com/rollforward/rollforward/internal/dsdoctor"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/internal/emulator"
)

func find(t *testing.T, r doctor.Report, check string) doctor.Finding {
	t.Helper()
	for _, f := range r {
		if f.Check == check {
			return f
		}
	}
	t.Errorf("no finding about %s: %+v", check, r)
	return doctor.Finding{}
}

// has fails unless a finding is of a level and says something.
func has(t *testing.T, r doctor.Report, check string, level doctor.Level, says string) {
	t.Helper()
	if f := find(t, r, check); f.Level != level || !strings.Contains(f.Found+" "+f.Do, says) {
		t.Errorf("%+v, want %s and %q", f, level, says)
	}
}

// admin is a service that answers what the mode is.
func admin(t *testing.T, code int, answer string) []option.ClientOption {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/projects/project/databases/(default)" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(s.Close)
	return []option.ClientOption{option.WithEndpoint(s.URL), option.WithHTTPClient(s.Client())}
}

const good = `{"name": "projects/project/databases/(default)", "type": "DATASTORE_MODE", "locationId": "eur3",
	"concurrencyMode": "PESSIMISTIC", "deleteProtectionState": "DELETE_PROTECTION_ENABLED"}`

func onFake(t *testing.T, mode dsfake.Mode) (*dsfake.Server, dsdoctor.Database) {
	s := dsfake.New(&dsfake.Options{Mode: mode})
	t.Cleanup(func() { s.Close() })
	return s, dsdoctor.Database{Project: "project", ClientOptions: s.ClientOptions(), AdminOptions: admin(t, 200, good)}
}

func TestADatabaseThatIsWell(t *testing.T) {
	t.Parallel()
	for mode, says := range map[dsfake.Mode]string{dsfake.Optimistic: "optimistic: ", dsfake.Pessimistic: "pessimistic: "} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			s, db := onFake(t, mode)
			r := db.Examine(t.Context())
			has(t, r, "reachable", doctor.Good, "a look-up takes")
			has(t, r, "clock", doctor.Good, "differs")
			has(t, r, "mode", doctor.Good, "eur3")
			has(t, r, "permissions", doctor.Good, "")
			has(t, r, "concurrency", doctor.Good, says)
			if r.Err() != nil || len(r) != 5 {
				t.Errorf("%+v", r)
			}
			c, err := s.Client(t.Context(), "project", "")
			if err != nil {
				t.Fatal(err)
			}
			nothingLeft(t, c)
		})
	}
}

func nothingLeft(t *testing.T, c *datastore.Client) {
	t.Helper()
	defer c.Close()
	if keys, err := c.GetAll(t.Context(), datastore.NewQuery("RollforwardDoctor").KeysOnly(), nil); err != nil || len(keys) != 0 {
		t.Errorf("%v is left: %v", keys, err)
	}
}

func TestEmulators(t *testing.T) {
	t.Parallel()
	for says, k := range map[string]emulator.Kind{"optimistic: ": emulator.DatastoreIndexed, "pessimistic: ": emulator.Firestore} {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			db := dsdoctor.Database{Project: emulator.Project(), Emulator: k.Host(t)}
			r := db.Examine(t.Context())
			has(t, r, "reachable", doctor.Good, "")
			has(t, r, "mode", doctor.Unknown, "an emulator")
			has(t, r, "permissions", doctor.Good, "")
			has(t, r, "concurrency", doctor.Good, says)
			if r.Err() != nil {
				t.Errorf("%+v", r)
			}
			c, err := datastore.NewClient(t.Context(), db.Project, emulator.Options(db.Emulator)...)
			if err != nil {
				t.Fatal(err)
			}
			nothingLeft(t, c)
		})
	}
}

// Each refusal is told, with what would help.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		method string
		code   codes.Code
		check  string
		help   string
	}{
		{"Lookup", codes.PermissionDenied, "reachable", "roles/datastore.user"},
		{"Lookup", codes.Unauthenticated, "reachable", "gcloud auth"},
		{"Lookup", codes.NotFound, "reachable", "gcloud firestore databases create"},
		{"Lookup", codes.FailedPrecondition, "reachable", "Native mode"},
		{"Lookup", codes.InvalidArgument, "reachable", "names of project"},
		{"Commit", codes.PermissionDenied, "permissions", "cannot write"},
		{"RunQuery", codes.PermissionDenied, "permissions", "cannot query"},
		{"BeginTransaction", codes.Internal, "concurrency", "a transaction"},
	} {
		t.Run(x.method+" "+x.code.String(), func(t *testing.T) {
			t.Parallel()
			s, db := onFake(t, dsfake.Optimistic)
			s.SetFaults(dsfake.Faults{Before: func(_ context.Context, c dsfake.Call) error {
				if c.Method == x.method {
					return status.Error(x.code, "injected")
				}
				return nil
			}})
			r := db.Examine(t.Context())
			has(t, r, x.check, doctor.Bad, x.help)
			has(t, r, x.check, doctor.Bad, "injected")
			if r.Err() == nil {
				t.Error("the report has no error")
			}
		})
	}
}

// A server that is not there is found out within the patience of a call.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := dsfake.New(nil)
		defer s.Close()
		s.Down()
		db := dsdoctor.Database{Project: "project", ClientOptions: s.ClientOptions()}
		r := db.Examine(t.Context())
		has(t, r, "reachable", doctor.Bad, "datastore.googleapis.com:443")
		if len(r) != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// The write that was given up on comes late: it is waited for, so that it is deleted too.
func TestALateWriteIsDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := dsfake.New(&dsfake.Options{Mode: dsfake.Pessimistic})
		defer s.Close()
		commits := 0
		s.SetFaults(dsfake.Faults{Before: func(_ context.Context, c dsfake.Call) error {
			if c.Method == "Commit" {
				if commits++; commits == 3 { // behind those of the permissions
					time.Sleep(2 * time.Second)
				}
			}
			return nil
		}})
		db := dsdoctor.Database{Project: "project", ClientOptions: s.ClientOptions(), AdminOptions: []option.ClientOption{option.WithHTTPClient(&http.Client{Transport: http.NewFileTransport(http.Dir(t.TempDir()))})}}
		has(t, db.Examine(t.Context()), "concurrency", doctor.Good, "pessimistic")
		c, err := s.Client(t.Context(), "project", "")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		nothingLeft(t, c)
	})
}

func TestNoProject(t *testing.T) {
	t.Parallel()
	has(t, dsdoctor.Database{}.Examine(t.Context()), "project", doctor.Bad, "GOOGLE_CLOUD_PROJECT")
}

func TestMode(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		code   int
		answer string
		check  string
		level  doctor.Level
		says   string
	}{
		"native":      {200, strings.Replace(good, "DATASTORE_MODE", "FIRESTORE_NATIVE", 1), "mode", doctor.Bad, "--type=datastore-mode"},
		"groups":      {200, strings.Replace(good, "PESSIMISTIC", "OPTIMISTIC_WITH_ENTITY_GROUPS", 1), "mode", doctor.Warning, "entity groups"},
		"unprotected": {200, strings.Replace(good, "_ENABLED", "_DISABLED", 1), "protection", doctor.Warning, "--delete-protection"},
		"forbidden":   {403, `{"error": {"code": 403, "message": "no"}}`, "mode", doctor.Unknown, "roles/datastore.viewer"},
		"missing":     {404, `{"error": {"code": 404, "message": "no"}}`, "mode", doctor.Unknown, "check the name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, db := onFake(t, dsfake.Optimistic)
			db.AdminOptions = admin(t, x.code, x.answer)
			has(t, db.Examine(t.Context()), x.check, x.level, x.says)
		})
	}
}
