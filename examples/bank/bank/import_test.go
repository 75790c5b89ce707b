package bank_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/examples/bank/bank"
)

func TestTry(t *testing.T) {
	d, err := pebblelog.Open(t.TempDir(), nil)
	if err != nil { t.Fatal(err) }
	ctx := context.Background()
	l, err := eventlog.Open(ctx, d, nil)
	if err != nil { t.Fatal(err) }
	defer l.Close()
	for range 2 {
	f, _ := os.Open("../testdata/household-ledger.csv")
	t0 := time.Now()
	got, err := bank.Import(ctx, l, "x.csv", f, nil)
	t.Log(got, err, time.Since(t0))
	f.Close()
	p, _ := l.Position(ctx)
	t.Log(p)
	}
}
