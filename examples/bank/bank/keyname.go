package bank

import (
	"fmt"
	"strings"
)

// keyName writes a text as the name of a key, so that keys are in the bytewise order of
// the texts. The "=" in front is for texts that Datastore reserves, such as __a__. From
// U+FFFF on the runes are written in hexadecimal behind U+FFFF: one of the emulators
// orders them as UTF-16 does, which is bytewise only below.
func keyName(s string) string {
	var out strings.Builder
	out.WriteByte('=')
	for _, r := range s {
		if r < last {
			out.WriteRune(r)
		} else {
			fmt.Fprintf(&out, "%c%06x", last, r)
		}
	}
	return out.String()
}

const last = '\uffff'
