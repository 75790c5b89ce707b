package projectiontest_test

import (
	"database/sql"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/projectiontest"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

const sums = `select account, cents from balance order by 1`

// given is a scenario with events in several shards.
func given(t testing.TB) *projectiontest.Scenario {
	s := projectiontest.Given(t, "account/0", Deposited{1})
	for i := range 8 {
		s.And(fmt.Sprint("account/", i), Deposited{int64(i)})
	}
	return s.And("account/0", Deposited{1000}, eventlog.Raw{Type: "other", Data: []byte("{}")})
}

var want = []projectiontest.Row{{"account/0", 1001}, {"account/1", 1}, {"account/2", 2}, {"account/3", 3},
	{"account/4", 4}, {"account/5", 5}, {"account/6", 6}, {"account/7", 7}}

// handler is a projection of one table whose handler is the one under test.
func handler(reset func(*sql.Tx) error, fn func(tx *sql.Tx, r eventlog.Record, e Deposited) error) sqlsink.Projection {
	return sqlsink.Projection{Name: "p", Version: 1, Reset: reset, Handlers: sqlsink.Handlers{projection.On(fn)}}
}

var table = sqlsink.Schema(`drop table if exists item`, `create table item (a, b)`)

// TestScenario: what is as expected passes, everything else fails and says why.
func TestScenario(t *testing.T) {
	t.Parallel()
	const last = "account/0 version 5"
	for name, c := range map[string]struct {
		run  func(t testing.TB)
		says []string
	}{
		"as expected": {func(t testing.TB) { given(t).When(balances).Then(sums, want...).Then(`select 1 where false`) }, nil},
		"by a function": {func(t testing.TB) {
			given(t).When(balances).ThenFunc(func(db *sql.DB) error {
				var n int
				return db.QueryRow(`select sum(cents) from balance`).Scan(&n)
			})
		}, nil},
		"nothing given":       {func(t testing.TB) { projectiontest.Given(t, "account/0").When(balances).Then(sums) }, nil},
		"refused as expected": {func(t testing.TB) { given(t).And("account/5", Deposited{-1}).When(balances).ThenError(ErrNegative) }, nil},
		"two projections": {func(t testing.TB) {
			p := handler(table, func(tx *sql.Tx, r eventlog.Record, e Deposited) error {
				_, err := tx.Exec(`insert into item values ($1, $2)`, r.ID.String(), r.Time.UnixNano())
				return err
			})
			given(t).When(balances, p).Then(sums, want...).Then(`select count(*) from item`, projectiontest.Row{10})
		}, nil},

		"other rows":           {func(t testing.TB) { given(t).When(balances).Then(sums, want[1:]...) }, []string{"then: " + sums, "-want +got", "1001"}},
		"other order":          {func(t testing.TB) { given(t).When(balances).Then(sums+" desc", want...) }, []string{"then: "}},
		"no such column":       {func(t testing.TB) { given(t).When(balances).Then(`select x from balance`) }, []string{"then: select x", "no such column"}},
		"no value":             {func(t testing.TB) { given(t).When(balances).Then(sums, projectiontest.Row{[]int{1}}) }, []string{"then: ", "column 1"}},
		"a function":           {func(t testing.TB) { given(t).When(balances).ThenFunc(func(*sql.DB) error { return os.ErrExist }) }, []string{"then: file already exists"}},
		"a writer":             {func(t testing.TB) { given(t).When(balances).ThenFunc(emptyIt) }, []string{"then: ", "readonly"}},
		"refused":              {func(t testing.TB) { given(t).And("account/0", Deposited{-1}).When(balances).Then(sums, want...) }, []string{"when: ", last, "negative"}},
		"not refused":          {func(t testing.TB) { given(t).When(balances).ThenError(ErrNegative) }, []string{"error <nil>, want negative"}},
		"another refusal":      {func(t testing.TB) { given(t).And("a", Deposited{-1}).When(balances).ThenError(os.ErrExist) }, []string{"negative deposit, want file already"}},
		"what cannot be given": {func(t testing.TB) { projectiontest.Given(t, "$a", Deposited{1}).When(balances) }, []string{"given: ", "reserved"}},
		"without a when":       {func(t testing.TB) { given(t).Then(sums) }, []string{"then: without a When"}},
		"two whens":            {func(t testing.TB) { given(t).When(balances).When(balances) }, []string{"one When"}},
		"without a reset":      {func(t testing.TB) { given(t).When(handler(nil, nil)) }, []string{"p has no Reset"}},
		"no projection":        {func(t testing.TB) { given(t).When() }, []string{"without projections"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watch(c.run).expect(t, c.says...)
		})
	}
}

func emptyIt(db *sql.DB) error {
	_, err := db.Exec(`delete from balance`)
	return err
}
