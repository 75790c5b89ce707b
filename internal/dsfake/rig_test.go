package dsfake_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/internal/emulator"
)

// leg is a server that the conformance table is held against.
type leg struct {
	name string
	open func(t *testing.T) *grpc.ClientConn
}

var legs = []leg{
	{"optimistic", func(t *testing.T) *grpc.ClientConn { return fake(t, nil).conn(t) }},
	{"pessimistic", func(t *testing.T) *grpc.ClientConn { return fake(t, &dsfake.Options{Mode: dsfake.Pessimistic}).conn(t) }},
	{"B", func(t *testing.T) *grpc.ClientConn { return connect(t, emulator.DatastoreIndexed.Host(t)) }},
	{"C", func(t *testing.T) *grpc.ClientConn { return connect(t, emulator.Firestore.Host(t)) }},
}

func connect(t *testing.T, host string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///"+host, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

type fakeServer struct{ *dsfake.Server }

func fake(t *testing.T, opts *dsfake.Options) fakeServer {
	t.Helper()
	s := dsfake.New(opts)
	t.Cleanup(func() { s.Close() })
	return fakeServer{s}
}

func (s fakeServer) conn(t *testing.T) *grpc.ClientConn {
	return connect(t, "dsfake", grpc.WithContextDialer(s.Dial))
}

// rig is a project of its own on a leg; its methods return what was answered in few
// words, to be compared.
type rig struct {
	t       *testing.T
	leg     string
	project string
	api     pb.DatastoreClient
}

func newRig(t *testing.T, l leg) *rig {
	return &rig{t, l.name, emulator.Project(), pb.NewDatastoreClient(l.open(t))}
}

// ctx is as long as a call may take: longer than a lock timeout.
func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	r.t.Cleanup(cancel)
	return ctx
}

// code is an error in a word.
func code(err error) string {
	if err == nil {
		return "ok"
	}
	return status.Code(err).String()
}

func (r *rig) begin(opts ...*pb.TransactionOptions) []byte {
	r.t.Helper()
	req := &pb.BeginTransactionRequest{ProjectId: r.project}
	if len(opts) > 0 {
		req.TransactionOptions = opts[0]
	}
	res, err := r.api.BeginTransaction(r.ctx(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.Transaction
}

func readOnly() *pb.TransactionOptions {
	return &pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadOnly_{ReadOnly: &pb.TransactionOptions_ReadOnly{}}}
}

// commit commits in a transaction, or in none if tx is nil.
func (r *rig) commit(tx []byte, m ...*pb.Mutation) string { return r.commitIn(r.ctx(), tx, m...) }

func (r *rig) commitIn(ctx context.Context, tx []byte, m ...*pb.Mutation) string {
	req := &pb.CommitRequest{ProjectId: r.project, Mutations: m, Mode: pb.CommitRequest_NON_TRANSACTIONAL}
	if tx != nil {
		req.Mode, req.TransactionSelector = pb.CommitRequest_TRANSACTIONAL, &pb.CommitRequest_Transaction{Transaction: tx}
	}
	_, err := r.api.Commit(ctx, req)
	return code(err)
}

func (r *rig) rollback(tx []byte) string {
	_, err := r.api.Rollback(r.ctx(), &pb.RollbackRequest{ProjectId: r.project, Transaction: tx})
	return code(err)
}

func inTx(tx []byte) *pb.ReadOptions {
	if tx == nil {
		return nil
	}
	return &pb.ReadOptions{ConsistencyType: &pb.ReadOptions_Transaction{Transaction: tx}}
}

// get returns what is under keys, in the order of the keys: the number n of each, or -.
func (r *rig) get(tx []byte, keys ...*pb.Key) string {
	res, err := r.api.Lookup(r.ctx(), &pb.LookupRequest{ProjectId: r.project, Keys: keys, ReadOptions: inTx(tx)})
	if err != nil {
		return code(err)
	}
	var got []string
	for _, k := range keys {
		s := "-"
		for _, f := range res.Found {
			if path(f.Entity.Key) == path(k) {
				s = fmt.Sprint(f.Entity.Properties["n"].GetIntegerValue())
			}
		}
		got = append(got, s)
	}
	return strings.Join(got, " ")
}

// query returns the results: the last names of their paths, or what is projected.
func (r *rig) query(tx []byte, q *pb.Query) string {
	res, err := r.run(tx, q)
	if err != nil {
		return code(err)
	}
	return results(res)
}

func (r *rig) run(tx []byte, q *pb.Query) (*pb.RunQueryResponse, error) {
	return r.api.RunQuery(r.ctx(), &pb.RunQueryRequest{ProjectId: r.project, PartitionId: &pb.PartitionId{ProjectId: r.project},
		QueryType: &pb.RunQueryRequest_Query{Query: q}, ReadOptions: inTx(tx)})
}

func results(res *pb.RunQueryResponse) string {
	var got []string
	if n := res.Batch.SkippedResults; n > 0 {
		got = append(got, fmt.Sprintf("(%d)", n))
	}
	for _, e := range res.Batch.EntityResults {
		s := path(e.Entity.Key)
		if res.Batch.EntityResultType == pb.EntityResult_PROJECTION {
			for _, name := range slices.Sorted(maps.Keys(e.Entity.Properties)) {
				s += "=" + show(e.Entity.Properties[name])
			}
		}
		got = append(got, s)
	}
	return strings.Join(got, " ")
}

func show(v *pb.Value) string {
	if s, ok := v.ValueType.(*pb.Value_StringValue); ok {
		return s.StringValue
	}
	return fmt.Sprint(v.GetIntegerValue())
}

// path is a key without its kinds.
func path(k *pb.Key) string {
	var names []string
	for _, e := range k.Path {
		names = append(names, e.GetName())
	}
	return strings.Join(names, "/")
}

// key is a key from kinds and names; the name ? stands for none.
func key(kindsAndNames ...string) *pb.Key {
	k := &pb.Key{}
	for kn := range slices.Chunk(kindsAndNames, 2) {
		e := &pb.Key_PathElement{Kind: kn[0]}
		if kn[1] != "?" {
			e.IdType = &pb.Key_PathElement_Name{Name: kn[1]}
		}
		k.Path = append(k.Path, e)
	}
	return k
}

func str(s string) *pb.Value { return &pb.Value{ValueType: &pb.Value_StringValue{StringValue: s}} }
func num(n int) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: int64(n)}}
}
func list(v ...*pb.Value) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: v}}}
}
func unindexed(v *pb.Value) *pb.Value { v.ExcludeFromIndexes = true; return v }

// ref is a key as a value; the default partition must be named.
func (r *rig) ref(kindsAndNames ...string) *pb.Value {
	k := key(kindsAndNames...)
	k.PartitionId = &pb.PartitionId{ProjectId: r.project}
	return &pb.Value{ValueType: &pb.Value_KeyValue{KeyValue: k}}
}

// entity has properties from names and values.
func entity(k *pb.Key, props ...any) *pb.Entity {
	e := &pb.Entity{Key: k, Properties: map[string]*pb.Value{}}
	for nv := range slices.Chunk(props, 2) {
		e.Properties[nv[0].(string)] = nv[1].(*pb.Value)
	}
	return e
}

func insert(e *pb.Entity) *pb.Mutation {
	return &pb.Mutation{Operation: &pb.Mutation_Insert{Insert: e}}
}
func update(e *pb.Entity) *pb.Mutation {
	return &pb.Mutation{Operation: &pb.Mutation_Update{Update: e}}
}
func upsert(e *pb.Entity) *pb.Mutation {
	return &pb.Mutation{Operation: &pb.Mutation_Upsert{Upsert: e}}
}
func remove(k *pb.Key) *pb.Mutation { return &pb.Mutation{Operation: &pb.Mutation_Delete{Delete: k}} }

// set is the entity of a name in kind X with a number.
func set(name string, n int) *pb.Mutation { return upsert(entity(key("X", name), "n", num(n))) }

func x(name string) *pb.Key { return key("X", name) }
