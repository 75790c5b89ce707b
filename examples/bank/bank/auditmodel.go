package bank

import (
	"context"
	"fmt"
)

// readModel holds every row against the replay.
func (e *examination) readModel(ctx context.Context, m *ReadModel) error {
	seen := make(map[AccountID]bool)
	for b, err := range m.Balances(ctx) {
		if err != nil {
			return fmt.Errorf("read model: %w", err)
		}
		id := b.ID()
		seen[id] = true
		switch f := e.books.Accounts[id]; {
		case f == nil:
			e.problem("%s is in the read model and not in the log", id)
		case f.Kind != b.Kind || f.State != b.State || f.Balance != b.Cents:
			e.problem("%s is {%s %s %d} in the read model and {%s %s %d} in the log", id, b.Kind, b.State, b.Cents, f.Kind, f.State, f.Balance)
		}
	}
	for id := range e.books.Accounts {
		if !seen[id] {
			e.problem("%s is in the log and not in the read model", id)
		}
	}
	return e.statements(ctx, m)
}

func (e *examination) statements(ctx context.Context, m *ReadModel) error {
	type statement struct {
		lines int
		print Fingerprint
	}
	have := make(map[AccountID]statement)
	for l, err := range m.Lines(ctx) {
		if err != nil {
			return fmt.Errorf("read model: %w", err)
		}
		id := AccountID{l.Account, l.Currency}
		s := have[id]
		have[id] = statement{s.lines + 1, s.print.add(l)}
	}
	for id, f := range e.books.Accounts {
		s := have[id]
		if s != (statement{f.Lines, f.Print}) {
			e.problem("the statement of %s has %d lines in the read model, not the %d of the log", id, s.lines, f.Lines)
		}
		delete(have, id)
	}
	for id := range have {
		e.problem("the read model has a statement of %s and the log no account", id)
	}
	return nil
}
