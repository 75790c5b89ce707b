package eventlog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestShardOf: where a stream lies is fixed for ever.
func TestShardOf(t *testing.T) {
	t.Parallel()
	for name, hash := range map[string]uint64{ // as published for xxHash64 with seed 0
		"": 0xef46db3751d8e999, "a": 0xd24ec4f1a98c6e5b, "abc": 0x44bc2cf5ad770999,
	} {
		if got := xxhash.Sum64String(name); got != hash {
			t.Errorf("the hash of %q is %x, expected %x", name, got, hash)
		}
	}
	for _, c := range []struct {
		stream       string
		of16, of1000 int
	}{
		{"a", 11, 955},
		{"abc", 9, 249},
		{"account/42", 8, 424},
		{"größe 語", 14, 374},
		{"a b|c@d#e", 1, 89},
		{"account/{abc}", 9, 249}, // of a group only the group counts,
		{"{abc}/x{a}", 9, 249},    // of several the first
		{"a}b{a}", 11, 955},
		{"}{a", 11, 955}, // not closed: no group
		{"{{a}", 3, 203}, // the group is "{a"
		{"account/{}", 1, 689},
		{"{}{a}", 14, 414}, // an empty group means nothing
		{"$x/3", 3, 3},
		{"$x/15", 15, 15},
		{"$x/16", 7, 16}, // of 16 shards there is no shard 16
		{"$x/-1", 15, 487},
		{"$x/y", 4, 956},
		{"$x", 9, 169},
		{"x/3", 1, 929},
	} {
		if a, b, c1 := shardOf(c.stream, 16), shardOf(c.stream, 1000), shardOf(c.stream, 1); a != c.of16 || b != c.of1000 || c1 != 0 {
			t.Errorf("%q lies in shard %d of 16, %d of 1000, %d of 1; expected %d, %d, 0", c.stream, a, b, c1, c.of16, c.of1000)
		}
	}
}

func TestCategory(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]string{
		"account/42": "account", "account/42/EUR": "account", "account": "account", "/x": "", "$steps/3": "$steps",
	} {
		if got := category(stream); got != want {
			t.Errorf("the category of %q is %q, expected %q", stream, got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "a/b", "größe 語", "a b|c@d#e%", strings.Repeat("a", MaxName), strings.Repeat("/", MaxName/3), "\u00ad", "\ufffd"} {
		if err := checkName("stream", name); err != nil {
			t.Errorf("%.40q: %v", name, err)
		}
	}
	for name, want := range map[string]error{
		"":                               ErrName,
		"a\x00":                          ErrName,
		"a\nb":                           ErrName,
		"\x01t":                          ErrName,
		"a\x7f":                          ErrName,
		"a\u0085":                        ErrName,
		"a\xff":                          ErrName,
		strings.Repeat("a", MaxName+1):   ErrTooLarge,
		strings.Repeat("/", MaxName/3+1): ErrTooLarge,
		strings.Repeat("語", MaxName/3+1): ErrTooLarge,
	} {
		if err := checkName("stream", name); !errors.Is(err, want) {
			t.Errorf("%.40q: %v, expected %v", name, err, want)
		}
	}
	if err := checkUserName("stream", "$x"); !errors.Is(err, ErrName) {
		t.Errorf("$x: %v, expected ErrName", err)
	}
	if err := checkUserName("stream", "x$"); err != nil {
		t.Error(err)
	}
}

// TestKeysDoNotCollide: different things have different index keys, whatever
// their names are.
func TestKeysDoNotCollide(t *testing.T) {
	t.Parallel()
	name := rapid.Custom(func(t *rapid.T) string {
		return rapid.StringOf(rapid.SampledFrom([]rune("abtexo/|@#%{} 語"))).Filter(func(s string) bool {
			return checkName("", s) == nil
		}).Draw(t, "name")
	})
	id := rapid.Custom(func(t *rapid.T) (id ID) {
		id[0] = rapid.Byte().Draw(t, "id")
		return id
	})
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (what, key string) {
			a, b, c := name.Draw(t, "a"), name.Draw(t, "b"), id.Draw(t, "c")
			switch rapid.IntRange(0, 6).Draw(t, "kind") {
			case 0:
				return fmt.Sprintf("stream %q", a), a
			case 1:
				return fmt.Sprintf("tag %q", a), tagKey(a)
			case 2:
				return fmt.Sprintf("type %q", a), typeKey(a)
			case 3:
				return fmt.Sprintf("correlation %s", c), correlationKey(c)
			case 4:
				return fmt.Sprintf("id %q of %q", b, a), onceKey(a, b)
			case 5:
				return fmt.Sprintf("table %q", a), tableKey(a)
			}
			return fmt.Sprintf("row %q of %q", b, a), cellKey(a, b)
		}
		a, aKey := draw()
		b, bKey := draw()
		if (a == b) != (aKey == bKey) {
			t.Fatalf("%s has key %q, %s has key %q", a, aKey, b, bKey)
		}
		for _, key := range []string{aKey, bKey} {
			if err := driver.CheckName(key); err != nil {
				t.Fatalf("key %q: %v", key, err)
			}
		}
	})
}
