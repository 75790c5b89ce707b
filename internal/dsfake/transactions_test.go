package dsfake_test

import (
	"context"
	"time"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
)

// late writes outside of a transaction and does not wait long: a write that finds locks
// is applied when they are gone, whoever has given up on it.
func (r *rig) late(m ...*pb.Mutation) string {
	ctx, cancel := context.WithTimeout(r.t.Context(), 500*time.Millisecond)
	defer cancel()
	return r.commitIn(ctx, nil, m...)
}

// both commits two transactions at the same time.
func (r *rig) both(tx1 []byte, m1 *pb.Mutation, tx2 []byte, m2 *pb.Mutation) string {
	other := make(chan string)
	go func() { other <- r.commit(tx2, m2) }()
	s := r.commit(tx1, m1)
	return steps(s, <-other)
}

// waiting is what pessimistic legs do.
func pessimistic(want, why string) map[string]difference {
	return map[string]difference{"pessimistic": {want, why}, "C": {want, why}}
}

var transactions = []promise{
	{name: "a transaction that has ended is not valid any more",
		run: func(r *rig) string {
			tx, tx2 := r.begin(), r.begin()
			return steps(r.commit(tx, set("a", 1)), r.commit(tx, set("a", 2)), r.commit(tx), r.get(tx, x("a")), r.rollback(tx2), r.commit(tx2, set("a", 2)), r.get(nil, x("a")),
				r.commit([]byte("garbage"), set("a", 3)))
		}, want: "ok, InvalidArgument, InvalidArgument, InvalidArgument, ok, InvalidArgument, 1, InvalidArgument"},
	{name: "to roll back twice is refused",
		run: func(r *rig) string { tx := r.begin(); return steps(r.rollback(tx), r.rollback(tx)) }, want: "ok, InvalidArgument",
		except: map[string]difference{"C": {"ok, ok", "it does not mind"}}},
	{name: "a transaction does not read its own writes, they come with the commit",
		run: func(r *rig) string { return r.commit(r.begin()) }, want: "ok"},
	{name: "what was read and has changed since aborts the commit, or the write waits",
		run: func(r *rig) string {
			r.commit(nil, set("a", 1))
			tx := r.begin()
			return steps(r.get(tx, x("a")), r.late(set("a", 2)), r.get(tx, x("a")), r.commit(tx, set("b", 3)), r.settle(x("a"), "2"), r.get(nil, x("b")))
		}, want: "1, ok, 1, Aborted, 2, -",
		except: pessimistic("1, DeadlineExceeded, 1, ok, 2, 3", "a write waits for who has read, and comes although its caller has gone")},
	{name: "that there was nothing is a reading too",
		run: func(r *rig) string {
			tx := r.begin()
			return steps(r.get(tx, x("a")), r.late(set("a", 2)), r.commit(tx, set("b", 3)))
		}, want: "-, ok, Aborted",
		except: pessimistic("-, DeadlineExceeded, ok", "a write waits for who has read")},
	{name: "what a query found is a reading",
		run: func(r *rig) string {
			r.commit(nil, set("a", 1))
			tx := r.begin()
			return steps(r.query(tx, ask("X", "")), r.late(set("a", 2)), r.commit(tx, set("b", 3)))
		}, want: "a, ok, Aborted",
		except: pessimistic("a, DeadlineExceeded, ok", "a write waits for who has read")},
	{name: "what a query did not find is a reading",
		run: func(r *rig) string {
			tx := r.begin()
			return steps(r.query(tx, ask("X", "", where("n", gt, num(100)))), r.late(set("a", 101)), r.commit(tx, set("b", 3)))
		}, want: ", ok, Aborted",
		except: map[string]difference{
			"B": {", ok, ok", "it does not see phantoms"}, "C": {", DeadlineExceeded, ok", "a query locks"}, "pessimistic": {", DeadlineExceeded, ok", "a query locks"}}},
	{name: "of a query in a transaction only its results matter",
		run: func(r *rig) string {
			tx := r.begin()
			return steps(r.query(tx, ask("X", "", where("n", gt, num(100)))), r.late(set("a", 1)), r.commit(tx, set("b", 3)))
		}, want: ", ok, ok",
		except: pessimistic(", DeadlineExceeded, ok", "a query locks its kind")},
	{name: "of transactions that read the same and write it not both win",
		run: func(r *rig) string {
			r.commit(nil, set("a", 1))
			tx1, tx2 := r.begin(), r.begin()
			read := steps(r.get(tx1, x("a")), r.get(tx2, x("a")))
			switch won := r.both(tx1, set("a", 2), tx2, set("a", 2)); {
			case won == "ok, Aborted", won == "Aborted, ok", won == "Aborted, Aborted" && r.leg == "C": // whose timeouts end together
				return read + ", not both"
			default:
				return won
			}
		}, want: "1, 1, not both"},
	{name: "who reads the same and writes apart: the second is aborted only if the first changed what it read",
		run: func(r *rig) string {
			r.commit(nil, set("a", 1))
			tx1, tx2 := r.begin(), r.begin()
			return steps(r.get(tx1, x("a")), r.get(tx2, x("a")), r.commit(tx1, set("b", 1)), r.commit(tx2, set("c", 1)))
		}, want: "1, 1, ok, ok", except: map[string]difference{"B": {"1, 1, ok, Aborted", "to commit what was only read counts as a change"}}},
	{name: "writes that nobody reads do not conflict",
		run: func(r *rig) string {
			tx1, tx2 := r.begin(), r.begin()
			return steps(r.commit(tx2, set("a", 1)), r.commit(nil, set("a", 2)), r.commit(tx1, set("a", 3)), r.get(nil, x("a")))
		}, want: "ok, ok, ok, 3"},
	{name: "a transaction sees what was written before it read first",
		run: func(r *rig) string {
			tx := r.begin()
			return steps(r.commit(nil, set("a", 1)), r.get(tx, x("a")), r.commit(tx, set("a", 2)))
		}, want: "ok, 1, ok"},
	{name: "a transaction reads one snapshot",
		run: func(r *rig) string {
			r.commit(nil, set("a", 1), set("b", 1))
			tx := r.begin()
			return steps(r.get(tx, x("a")), r.commit(nil, set("b", 2)), r.get(tx, x("b")), r.query(tx, ask("X", "", where("n", gt, num(1)))), r.commit(tx, set("c", 2)))
		}, want: "1, ok, 1, , Aborted",
		except: map[string]difference{
			"pessimistic": {"1, ok, 2, b, ok", "what it has locked is still so, and so all of it is true now"},
			"C":           {"1, ok, 2, b, ok", "what it has locked is still so, and so all of it is true now"},
			"B":           {"1, ok, 2, b, ok", "it moves the snapshot as long as what was read is still so"}}},
	{name: "a read-only transaction reads one snapshot, holds nobody up, and writes nothing",
		run: func(r *rig) string {
			r.commit(nil, set("a", 1))
			tx := r.begin(readOnly())
			return steps(r.get(tx, x("a")), r.commit(nil, set("a", 2)), r.get(tx, x("a")), r.commit(tx, set("a", 3)))
		}, want: "1, ok, 1, InvalidArgument"},
	{name: "a read-only transaction may be committed",
		run:  func(r *rig) string { return r.commit(r.begin(readOnly())) },
		want: "ok", except: map[string]difference{"C": {"InvalidArgument", "it takes that for a write"}}},
	{name: "a transaction that only read is committed whatever happened since",
		run: func(r *rig) string {
			r.commit(nil, set("a", 1))
			tx := r.begin()
			return steps(r.get(tx, x("a")), r.late(set("a", 2)), r.commit(tx))
		}, want: "1, ok, ok", except: pessimistic("1, DeadlineExceeded, ok", "a write waits for who has read")},
	{name: "one that was aborted can be rolled back, and nothing else",
		run: func(r *rig) string {
			r.commit(nil, set("a", 1))
			tx, tx2 := r.begin(), r.begin()
			r.get(tx2, x("a"))
			return steps(r.get(tx, x("a")), r.abort(tx2, tx), r.commit(tx, set("b", 2)), r.rollback(tx))
		}, want: "1, Aborted, InvalidArgument, ok"},
	{name: "a rollback lets go of what was locked",
		run: func(r *rig) string {
			tx := r.begin()
			return steps(r.get(tx, x("a")), r.rollback(tx), r.commit(nil, set("a", 1)))
		}, want: "-, ok, ok"},
	{name: "a lookup may begin a transaction, and a commit be one of its own",
		run: func(r *rig) string {
			res, err := r.api.Lookup(r.ctx(), &pb.LookupRequest{ProjectId: r.project, Keys: []*pb.Key{x("a")},
				ReadOptions: &pb.ReadOptions{ConsistencyType: &pb.ReadOptions_NewTransaction{NewTransaction: &pb.TransactionOptions{}}}})
			if err != nil {
				return code(err)
			}
			_, err = r.api.Commit(r.ctx(), &pb.CommitRequest{ProjectId: r.project, Mutations: []*pb.Mutation{set("b", 1)},
				TransactionSelector: &pb.CommitRequest_SingleUseTransaction{SingleUseTransaction: &pb.TransactionOptions{}}})
			return steps(r.commit(res.Transaction, set("a", 1)), code(err))
		}, want: "ok, ok",
		except: map[string]difference{"C": {"Aborted, ok", "such a transaction holds a lock that is not its own"}}},
	{name: "a transactional commit needs a transaction",
		run: func(r *rig) string {
			_, err := r.api.Commit(r.ctx(), &pb.CommitRequest{ProjectId: r.project, Mutations: []*pb.Mutation{set("b", 1)}})
			return code(err)
		}, want: "InvalidArgument"},
}

// abort makes a commit of tx fail, by what other has read (pessimistic) or writes now.
func (r *rig) abort(other, tx []byte) string {
	if r.leg == "optimistic" || r.leg == "B" {
		r.commit(nil, set("a", 7))
	}
	_ = other
	return r.commit(tx, set("a", 2))
}

// settle waits until a key has the number that is on its way.
func (r *rig) settle(k *pb.Key, want string) string {
	got := ""
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && got != want; {
		got = r.get(nil, k)
	}
	return got
}
