package bank_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/examples/bank/bank"
)

func TestAddMonths(t *testing.T) {
	t.Parallel()
	for first, want := range map[bank.Date][]bank.Date{
		"2027-01-31": {"2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"},
		"2027-11-30": {"2027-11-30", "2027-12-30", "2028-01-30", "2028-02-29", "2028-03-30"},
		"2096-02-29": {"2096-02-29", "2096-03-29", "2096-04-29", "2096-05-29", "2096-06-29"},
		"2027-06-01": {"2027-06-01", "2027-07-01", "2027-08-01", "2027-09-01", "2027-10-01"},
	} {
		var got []bank.Date
		for n := range want {
			got = append(got, first.AddMonths(n))
		}
		if !slices.Equal(got, want) {
			t.Errorf("from %s: %v, want %v", first, got, want)
		}
	}
	for n, want := range map[int]bank.Date{12: "2029-02-28", 48: "2032-02-29", -12: "2027-02-28", -1: "2028-01-29", 1200: "2128-02-29"} {
		if got := bank.Date("2028-02-29").AddMonths(n); got != want {
			t.Errorf("2028-02-29 and %d months are %s, want %s", n, got, want)
		}
	}
}

// TestMonthsFollow: each month has its day, the day of the first one or its last.
func TestMonthsFollow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := time.Date(rapid.IntRange(1, 9000).Draw(t, "year"), 1, 1+rapid.IntRange(0, 365).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
		n := rapid.IntRange(0, 1200).Draw(t, "months")
		d := bank.DateOf(first).AddMonths(n).Time()
		if months := 12*(d.Year()-first.Year()) + int(d.Month()-first.Month()); months != n {
			t.Errorf("%s and %d months are %s", first, n, d)
		}
		if d.Day() != first.Day() && (d.Day() > first.Day() || d.AddDate(0, 0, 1).Day() != 1) {
			t.Errorf("%s and %d months are %s", first, n, d)
		}
	})
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "2027-02-29", "2027-1-1", "27-01-01", "2027-01-01T00:00", " 2027-01-01", "20270-01-01"} {
		if _, err := bank.ParseDate(s); !errors.Is(err, bank.ErrDate) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "2027", "2027-13", "2027-1", "2027-01-01"} {
		if _, err := bank.ParseMonth(s); !errors.Is(err, bank.ErrDate) {
			t.Errorf("%q: %v", s, err)
		}
	}
	d, err := bank.ParseDate("2027-12-31")
	if err != nil || d.Month() != "2027-12" || d.Time() != time.Date(2027, 12, 31, 0, 0, 0, 0, time.UTC) {
		t.Errorf("%s, %v", d, err)
	}
	if end := d.Month().End(); end != time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC) {
		t.Errorf("the month ends %s", end)
	}
	if d := bank.DateOf(time.Date(2027, 1, 1, 0, 30, 0, 0, time.FixedZone("", 3600))); d != "2026-12-31" {
		t.Errorf("it is %s in UTC", d)
	}
}
