package bank_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
)

func TestStreamNames(t *testing.T) {
	t.Parallel()
	for id, want := range map[bank.AccountID]string{
		{Name: "Assets:US:BofA", Currency: "USD"}:       "account/USD/Assets:US:BofA",
		{Name: `the "Café", nº 7 | {x}`, Currency: "€"}: `account/€/the "Café", nº 7 | %7Bx%7D`,
		{Name: "a/b", Currency: "c/d"}:                  "account/c%2Fd/a%2Fb",
		{Name: "100%2F", Currency: "%"}:                 "account/%25/100%252F",
		{Name: "$steps/0", Currency: "$"}:               "account/$/$steps%2F0",
	} {
		if got := id.Stream(); got != want {
			t.Errorf("%+v lies in %q, want %q", id, got, want)
		}
	}
	for _, stream := range []string{"", "account", "account/x", "transaction/a/b", "account/EUR/%zz", "account/%/x"} {
		if id, ok := bank.ParseStream(stream); ok {
			t.Errorf("%q is taken for account %+v", stream, id)
		}
	}
}

// TestStreamNamesNeverCollide: the account can be read back from the name of its
// stream, so no two share one; and no name decides by braces where it lies.
func TestStreamNamesNeverCollide(t *testing.T) {
	t.Parallel()
	log := eventlogtest.New(t)
	name := rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune("/%{}$|@#27BFD ")), rapid.Rune()))
	rapid.Check(t, func(t *rapid.T) {
		id := bank.AccountID{Name: name.Draw(t, "name"), Currency: name.Draw(t, "currency")}
		got, ok := bank.ParseStream(id.Stream())
		if !ok || got != id {
			t.Fatalf("%+v lies in %q, which is read as %+v, %v", id, id.Stream(), got, ok)
		}
		other := bank.AccountID{Name: name.Draw(t, "other name"), Currency: name.Draw(t, "other currency")}
		if other != id && other.Stream() == id.Stream() {
			t.Fatalf("%+v and %+v share %q", id, other, id.Stream())
		}
	})
	shards := make(map[int]bool)
	for _, suffix := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		shards[log.ShardOf(bank.AccountID{Name: "{group}" + suffix, Currency: "EUR"}.Stream())] = true
	}
	if len(shards) == 1 {
		t.Error("braces in names put accounts into one shard")
	}
}
