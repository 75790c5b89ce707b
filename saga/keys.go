package saga

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// Keys says of what a step makes a fan-out: it returns up to n keys that come
// behind after ("" is before the first) in an order of its own, and none at the
// end. A key is a short text and occurs once. What Keys reads through tx is read at
// that moment: a large fan-out is started in many transactions, and what is added
// to the end meanwhile is part of it. An error is tried again and then parks the
// instance; one that wraps outbox.Abort refuses the step.
type Keys[S any] func(tx *eventlog.Tx, s *S, after string, n int) ([]string, error)

// maxKey bounds a key, which the child carries along.
const maxKey = 1000

// Items makes Keys of a list of different texts that the data holds or implies.
func Items[S any](fn func(*S) []string) Keys[S] {
	return func(_ *eventlog.Tx, s *S, after string, n int) ([]string, error) {
		list := fn(s)
		if after != "" {
			k := slices.Index(list, after)
			if k < 0 {
				return nil, outbox.Abort(fmt.Errorf("the key %.60q is gone from the list", after))
			}
			list = list[k+1:]
		}
		return list[:min(n, len(list))], nil
	}
}

// Numbers makes the Keys "0", "1" … of a number.
func Numbers[S any](fn func(*S) int) Keys[S] {
	return func(_ *eventlog.Tx, s *S, after string, n int) (list []string, err error) {
		first := 0
		if after != "" {
			if first, err = strconv.Atoi(after); err != nil {
				return nil, err
			}
			first++
		}
		for k := first; k < fn(s) && len(list) < n; k++ {
			list = append(list, strconv.Itoa(k))
		}
		return list, nil
	}
}

// checkKeys refuses what a fan-out cannot work with.
func checkKeys(list []string, after string, n int) error {
	if len(list) > n {
		return fmt.Errorf("%d keys, %d were asked for", len(list), n)
	}
	for k, key := range list {
		switch {
		case key == "" || len(key) > maxKey:
			return fmt.Errorf("a key of %d bytes: 1 to %d", len(key), maxKey)
		case key == after || slices.Contains(list[:k], key):
			return fmt.Errorf("the key %.60q occurs twice", key)
		}
	}
	return nil
}
