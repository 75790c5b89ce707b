package bank

import (
	"fmt"
	"time"
)

// A Date is a day of the calendar, 2006-01-02, in UTC. Dates sort like texts.
type Date string

// DateOf returns the day of a moment.
func DateOf(t time.Time) Date { return Date(t.UTC().Format(time.DateOnly)) }

// ParseDate reads a date. ErrDate: it is none.
func ParseDate(s string) (Date, error) {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return "", fmt.Errorf("%w: %.40q is not of the form %s", ErrDate, s, time.DateOnly)
	}
	return Date(s), nil
}

// Time returns the first moment of the day.
func (d Date) Time() time.Time {
	t, _ := time.Parse(time.DateOnly, string(d)) // that it is a date was checked
	return t
}

// AddMonths returns the same day some months later, or the last one of that month
// where it has no such day: the 31st of January and one month are the 28th of
// February or the 29th. So the months of a series are added to its first day and
// not to the day before: it is back on the 31st in March.
func (d Date) AddMonths(n int) Date {
	y, m, day := d.Time().Date()
	first := time.Date(y, m+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return DateOf(first.AddDate(0, 0, min(day, last)-1))
}

// Month returns the month that the day is in.
func (d Date) Month() Month { return Month(d[:min(len(d), len("2006-01"))]) }

// A Month of the calendar, 2006-01, in UTC. Months sort like texts.
type Month string

// ParseMonth reads a month. ErrDate: it is none.
func ParseMonth(s string) (Month, error) {
	if _, err := time.Parse("2006-01", s); err != nil {
		return "", fmt.Errorf("%w: %.40q is not of the form 2006-01", ErrDate, s)
	}
	return Month(s), nil
}

// End returns the first moment behind the month.
func (m Month) End() time.Time { return Date(m + "-01").AddMonths(1).Time() }
