package saga

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// A Child is what a step starts another saga with. [Run] makes one.
type Child[S any] struct {
	saga   program
	input  func(s *S, key string) ([]byte, error)
	output func(s *S, key string, data json.RawMessage) error // nil: nobody asks
}

// Run makes the Child of a step: instances of child, which get what in makes of
// the parent's data. Of a single child key is ""; of a fan-out it says which one is
// meant. out, which may be nil, gets the data of each child that has completed, once,
// in any order, and puts of it into the parent's data what is of interest; an error
// of out refuses the step. The data is stored anew with each child, so that of a
// large fan-out should be small.
//
// The children's runner needs the Handlers of child; it need not be the parent's.
// The id of a child is that of its parent, the step with the number of its
// execution, and of a fan-out its place among the children: "7/fee.3", "7/interest.3/1".
func Run[S, C any](child *Saga[C], in func(s *S, key string) C, out func(s *S, key string, c C) error) Child[S] {
	c := Child[S]{}
	if child != nil {
		c.saga = child
	}
	if in != nil {
		c.input = func(s *S, key string) ([]byte, error) {
			data := in(s, key)
			return encode(&data)
		}
	}
	if out != nil {
		c.output = func(s *S, key string, stored json.RawMessage) error {
			var data C
			if err := json.Unmarshal(stored, &data); err != nil {
				return fmt.Errorf("decode the data of child %q: %w", key, err)
			}
			return out(s, key, data)
		}
	}
	return c
}

// childID is the id of a child of an execution; of a fan-out it is the i-th. The name
// of the step stays what it was when the child was started.
func childID(parent, step string, n int, fan bool, i int) string {
	id := parent + "/" + step + "." + strconv.Itoa(n)
	if fan {
		id += "/" + strconv.Itoa(i)
	}
	return id
}
