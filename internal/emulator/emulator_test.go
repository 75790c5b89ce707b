package emulator_test

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/datastore"
	"cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/rollforward/rollforward/internal/emulator"
)

var kinds = []emulator.Kind{emulator.Datastore, emulator.DatastoreIndexed, emulator.Firestore, emulator.PubSub}

// answers tells whether a server is at an address.
func answers(host string) bool {
	res, err := http.Get("http://" + host + "/")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// TestEmulatorsAreFound is how .ci/run asks whether this machine has all of them.
func TestEmulatorsAreFound(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) { k.Require(t) })
	}
}

func TestServersAreSharedAndAnswer(t *testing.T) {
	t.Parallel()
	for _, k := range []emulator.Kind{emulator.Datastore, emulator.Firestore} {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			host := k.Host(t)
			if again := k.Host(t); again != host {
				t.Errorf("the second one who asks gets %s, the first got %s", again, host)
			}
			c, err := datastore.NewClient(t.Context(), emulator.Project(), emulator.Options(host)...)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			type Row struct{ N int }
			key, row := datastore.NameKey("Row", "a", nil), Row{}
			if _, err := c.Put(t.Context(), key, &Row{7}); err != nil {
				t.Fatal(err)
			}
			if err := c.Get(t.Context(), key, &row); err != nil || row.N != 7 {
				t.Errorf("got %v, %v", row, err)
			}
		})
	}
	t.Run("PubSub", func(t *testing.T) {
		t.Parallel()
		c, err := pubsub.NewTopicAdminClient(t.Context(), emulator.Options(emulator.PubSub.Host(t))...)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		name := "projects/" + emulator.Project() + "/topics/bell"
		if _, err := c.CreateTopic(t.Context(), &pubsubpb.Topic{Name: name}); err != nil {
			t.Error(err)
		}
	})
}

func TestARestartedServerIsAtTheSameAddress(t *testing.T) {
	t.Parallel()
	s := emulator.PubSub.Start(t)
	s.Kill()
	if answers(s.Host()) {
		t.Error("a killed server answers")
	}
	s.Kill() // nothing to do
	if err := s.Restart(); err != nil || !answers(s.Host()) {
		t.Errorf("a restarted server does not answer: %v", err)
	}
}

// TestAKilledTestLeavesNoServer kills a test binary (this one, run again) that
// has a server, as an impatient user or a timeout would.
func TestAKilledTestLeavesNoServer(t *testing.T) {
	t.Parallel()
	emulator.PubSub.Require(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestHoldAServer$", "-test.v")
	cmd.Env = append(os.Environ(), "EMULATOR_TEST_HOLD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var host string
	for lines := bufio.NewScanner(out); host == "" && lines.Scan(); {
		if h, held := strings.CutPrefix(lines.Text(), "held "); held {
			host = h
		}
	}
	if !answers(host) {
		t.Errorf("the server at %q does not answer", host)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for end := time.Now().Add(10 * time.Second); answers(host); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server outlives the test binary that started it")
		}
	}
}

// TestHoldAServer is the process that TestAKilledTestLeavesNoServer starts and
// kills; otherwise it does nothing.
func TestHoldAServer(t *testing.T) {
	if os.Getenv("EMULATOR_TEST_HOLD") == "" {
		return
	}
	os.Stdout.WriteString("held " + emulator.PubSub.Host(t) + "\n")
	time.Sleep(time.Minute)
}

// TestMissing runs this binary again where there is no SDK.
func TestMissing(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(env string) (string, error) {
		cmd := exec.Command(self, "-test.run=^TestServersAreSharedAndAnswer$", "-test.v")
		cmd.Env = []string{"PATH=" + t.TempDir(), env}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("EMULATORS=")
	if err != nil || strings.Count(out, "!!! NO DATASTORE EMULATOR") != 1 || !strings.Contains(out, "--- SKIP: TestServersAreSharedAndAnswer/Datastore_emulator") {
		t.Errorf("a missing emulator is not one loud line and a skipped test: %v\n%s", err, out)
	}
	if out, err := run("EMULATORS=require"); err == nil || !strings.Contains(out, "--- FAIL: TestServersAreSharedAndAnswer/Datastore_emulator") {
		t.Errorf("with EMULATORS=require a missing emulator is no failure:\n%s", out)
	}
}
