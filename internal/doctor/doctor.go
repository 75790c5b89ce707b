// Package doctor examines logs and says what is wrong, and what to do. It changes
// nothing.
package doctor

import (
	"errors"
	"fmt"
	"strings"
)

// Level says how a check came out.
type Level string

const (
	Good    Level = "ok"
	Warning Level = "warning" // it works, for now or not as well as it could
	Bad     Level = "bad"     // it does not work
	Unknown Level = "unknown" // it could not be found out
)

// Finding is what a check found.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Found string `json:"found"`
	Do    string `json:"do,omitempty"` // what would help
}

// Report is what an examination found, in the order of the checks. Behind a check that
// is Bad there may be no others.
type Report []Finding

// Add adds a finding.
func (r *Report) Add(check string, l Level, do, format string, a ...any) {
	*r = append(*r, Finding{Check: check, Level: l, Do: do, Found: fmt.Sprintf(format, a...)})
}

// Err is nil unless something is Bad.
func (r Report) Err() error {
	var bad []string
	for _, f := range r {
		if f.Level == Bad {
			bad = append(bad, f.Check)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return errors.New("not well: " + strings.Join(bad, ", "))
}
