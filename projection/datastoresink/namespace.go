package datastoresink

import (
	"crypto/rand"
	"strings"

	"cloud.google.com/go/datastore"
)

const (
	maxBase = 45 // bytes of Options.Namespace: with what is added to it 100
	maxName = 27 // bytes of a projection's name in a namespace
)

// newRows returns a namespace that nobody has used: the sink's own, the name of the
// projection for people, and what makes it unique.
func newRows(base, name string) string {
	if name = plain(name); len(name) > maxName {
		name = name[:maxName]
	}
	if base != "" {
		base += "."
	}
	return base + name + "." + rand.Text()
}

// plain writes a text with the characters that a namespace may have.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, s)
}

// Key returns a copy of k, and of the keys above it, in a namespace: the key of a row
// as readers need it, of the key that a handler uses.
func Key(namespace string, k *datastore.Key) *datastore.Key {
	if k == nil {
		return nil
	}
	out := *k
	out.Namespace, out.Parent = namespace, Key(namespace, k.Parent)
	return &out
}
