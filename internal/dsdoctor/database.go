package dsdoctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/api/option"
	gtransport "google.golang.org/api/transport/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/internal/doctor"
)

// Database is what is to be examined.
type Database struct {
	Project   string
	ID        string // of the database; "" is the default one
	Namespace string
	Emulator  string // its host:port; "" is the service

	ClientOptions []option.ClientOption // of the connection to the data
	AdminOptions  []option.ClientOption // of the connection that asks for the mode
}

// patience is how long one call may take.
const patience = 10 * time.Second

// Examine examines the database. Without an answer from it there is only one finding.
func (db Database) Examine(ctx context.Context) (r doctor.Report) {
	if db.Project == "" {
		r.Add("project", doctor.Bad, "name one in --log datastore://PROJECT, or set GOOGLE_CLOUD_PROJECT", "no project is named")
		return r
	}
	conn, err := db.dial(ctx)
	if err != nil {
		r.Add("reachable", doctor.Bad, `run "gcloud auth application-default login", or give the process a service account`, "%v", err)
		return r
	}
	defer conn.Close()
	x := &examination{Database: db, api: pb.NewDatastoreClient(conn), report: &r}
	x.key = x.scratch(rand.Text())
	if !x.reach(ctx) {
		return r
	}
	if db.Emulator == "" {
		x.mode(ctx)
	} else {
		r.Add("mode", doctor.Unknown, "", "an emulator at %s: what a deployed database allows and costs, it does not show", db.Emulator)
	}
	if x.permissions(ctx) {
		x.concurrency(ctx)
	}
	return r
}

// dial connects as the client library does.
func (db Database) dial(ctx context.Context) (*grpc.ClientConn, error) {
	opts := []option.ClientOption{
		option.WithEndpoint("datastore.googleapis.com:443"),
		option.WithScopes("https://www.googleapis.com/auth/datastore"),
	}
	if db.Emulator != "" {
		opts = append(opts, option.WithEndpoint("passthrough:///"+db.Emulator), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	}
	return gtransport.Dial(ctx, append(opts, db.ClientOptions...)...)
}

// examination is one of a database that is connected to.
type examination struct {
	Database
	api    pb.DatastoreClient
	key    *pb.Key // of the scratch entity
	report *doctor.Report
}

// scratch is the key of an entity that nobody else has.
func (x *examination) scratch(name string) *pb.Key {
	return &pb.Key{
		PartitionId: &pb.PartitionId{ProjectId: x.Project, DatabaseId: x.ID, NamespaceId: x.Namespace},
		Path:        []*pb.Key_PathElement{{Kind: "RollforwardDoctor", IdType: &pb.Key_PathElement_Name{Name: name}}},
	}
}

// call bounds a call and says which database it is about.
func (x *examination) call(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	resource, params := "projects/"+x.Project, "project_id="+x.Project
	if x.ID != "" {
		resource, params = resource+"/databases/"+x.ID, params+"&database_id="+x.ID
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", resource, "x-goog-request-params", params)
	return context.WithTimeout(ctx, d)
}

func (x *examination) lookup(ctx context.Context, tx []byte) (*pb.LookupResponse, error) {
	ctx, cancel := x.call(ctx, patience)
	defer cancel()
	req := &pb.LookupRequest{ProjectId: x.Project, DatabaseId: x.ID, Keys: []*pb.Key{x.key}}
	if tx != nil {
		req.ReadOptions = &pb.ReadOptions{ConsistencyType: &pb.ReadOptions_Transaction{Transaction: tx}}
	}
	return x.api.Lookup(ctx, req)
}

// commit writes or deletes the scratch entity, in a transaction unless that is nil.
func (x *examination) commit(ctx context.Context, d time.Duration, tx []byte, m *pb.Mutation) error {
	ctx, cancel := x.call(ctx, d)
	defer cancel()
	req := &pb.CommitRequest{ProjectId: x.Project, DatabaseId: x.ID, Mode: pb.CommitRequest_NON_TRANSACTIONAL, Mutations: []*pb.Mutation{m}}
	if tx != nil {
		req.Mode, req.TransactionSelector = pb.CommitRequest_TRANSACTIONAL, &pb.CommitRequest_Transaction{Transaction: tx}
	}
	_, err := x.api.Commit(ctx, req)
	return err
}

func (x *examination) put(n int64) *pb.Mutation {
	value := &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: n}, ExcludeFromIndexes: true}
	return &pb.Mutation{Operation: &pb.Mutation_Upsert{Upsert: &pb.Entity{Key: x.key, Properties: map[string]*pb.Value{"N": value}}}}
}

func (x *examination) remove() *pb.Mutation {
	return &pb.Mutation{Operation: &pb.Mutation_Delete{Delete: x.key}}
}

// reach looks a key up, and learns the clock and the distance by it.
func (x *examination) reach(ctx context.Context) bool {
	if _, err := x.lookup(ctx, nil); err != nil { // the first one connects
		x.report.Add("reachable", doctor.Bad, x.advice(err), "%s", said(err))
		return false
	}
	began := time.Now()
	res, err := x.lookup(ctx, nil)
	took := time.Since(began)
	if err != nil {
		x.report.Add("reachable", doctor.Bad, x.advice(err), "%s", said(err))
		return false
	}
	if took > 200*time.Millisecond {
		x.report.Add("reachable", doctor.Warning, "run where the database is: every append waits for at least one such round trip", "a look-up takes %s", took.Round(time.Millisecond))
	} else {
		x.report.Add("reachable", doctor.Good, "", "a look-up takes %s", took.Round(100*time.Microsecond))
	}
	if res.ReadTime == nil {
		x.report.Add("clock", doctor.Unknown, "", "the server does not tell its time")
		return true
	}
	x.report.Clock("clock", res.ReadTime.AsTime().Sub(began.Add(took/2)), "the database's time")
	return true
}

// advice is what helps against a refusal.
func (x *examination) advice(err error) string {
	name := x.ID
	if name == "" {
		name = "(default)"
	}
	switch status.Code(err) {
	case codes.Unauthenticated:
		return `run "gcloud auth application-default login", or give the process a service account`
	case codes.PermissionDenied:
		return fmt.Sprintf("give the account roles/datastore.user in project %s, and enable datastore.googleapis.com there", x.Project)
	case codes.NotFound:
		return fmt.Sprintf("create the database: gcloud firestore databases create --database='%s' --type=datastore-mode --location=… --project=%s", name, x.Project)
	case codes.FailedPrecondition:
		return fmt.Sprintf("database %s may be of Native mode: name one of Datastore mode", name)
	case codes.Unavailable, codes.DeadlineExceeded:
		if x.Emulator != "" {
			return "start the emulator, or unset DATASTORE_EMULATOR_HOST"
		}
		return "check the network, proxies and firewalls on the way to datastore.googleapis.com:443"
	case codes.InvalidArgument:
		return "check the names of project, database and namespace"
	}
	return "see https://cloud.google.com/datastore/docs/concepts/errors"
}

// said is an error without what gRPC puts around it.
func said(err error) string {
	if errors.Is(err, context.Canceled) {
		return err.Error()
	}
	s := status.Convert(err)
	return fmt.Sprintf("%s: %s", s.Code(), s.Message())
}
