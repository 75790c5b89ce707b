package driver_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/driver"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                  "",
		"account-1.x":       "account-1.x",
		"account/42":        "account%2F42",
		"a|b@c#d":           "a%7Cb%40c%23d",
		"100%":              "100%25",
		"%2F":               "%252F",
		" \t\r\n\x01\x1f":   "%20%09%0D%0A%01%1F",
		"\x7f":              "%7F",
		"~!\"$&'()*+,-.:;<": "~!\"$&'()*+,-.:;<",
		"größe 語":           "größe%20語",
		"\x00\xff":          "%00\xff", // not a name, but Escape is total
	} {
		if got := driver.Escape(name); got != want {
			t.Errorf("Escape(%q) is %q, expected %q", name, got, want)
		}
	}
}

// special are the characters that a driver may use around an escaped name.
const special = "/|@# \x00\x01\t\n\r\x1f\x7f"

// unescape is the inverse of Escape: that there is one shows that different
// names have different escapes.
func unescape(t interface{ Fatalf(string, ...any) }, s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		const hex = "0123456789ABCDEF"
		if i+2 >= len(s) || strings.IndexByte(hex, s[i+1]) < 0 || strings.IndexByte(hex, s[i+2]) < 0 {
			t.Fatalf("%q has a %% without two hex digits at byte %d", s, i)
		}
		b = append(b, byte(strings.IndexByte(hex, s[i+1])<<4|strings.IndexByte(hex, s[i+2])))
		i += 2
	}
	return string(b)
}

func checkEscape(t interface{ Fatalf(string, ...any) }, a, b string) {
	ea, eb := driver.Escape(a), driver.Escape(b)
	switch {
	case strings.ContainsAny(ea, special):
		t.Fatalf("Escape(%q) is %q, which has a separator", a, ea)
	case unescape(t, ea) != a:
		t.Fatalf("Escape(%q) is %q, which reads back as %q", a, ea, unescape(t, ea))
	case ea+eb != driver.Escape(a+b):
		t.Fatalf("Escape(%q) is not Escape(%q) and Escape(%q)", a+b, a, b)
	case strings.HasPrefix(ea, eb) != strings.HasPrefix(a, b):
		t.Fatalf("%q and %q: prefixes %v, escapes %v", a, b, strings.HasPrefix(a, b), strings.HasPrefix(ea, eb))
	case utf8.ValidString(a) != utf8.ValidString(ea):
		t.Fatalf("Escape(%q) is %q: one of them is not UTF-8", a, ea)
	}
	for _, sep := range special {
		if a != b && strings.HasPrefix(eb+string(sep), ea+string(sep)) {
			t.Fatalf("Escape(%q) is a prefix of Escape(%q) when both are followed by %q", a, b, sep)
		}
	}
}

func TestEscapeIsInjective(t *testing.T) {
	t.Parallel()
	// Few letters, so that names are alike; and all of Unicode.
	alike := rapid.StringOfN(rapid.RuneFrom([]rune("a2F%/|@# \x01é")), -1, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.OneOf(alike, rapid.String())
		checkEscape(t, names.Draw(t, "a"), names.Draw(t, "b"))
	})
	// All names of up to three of these letters, sorted by escape: no two alike.
	names := []string{""}
	for range 3 {
		for _, n := range names {
			for _, c := range "a2F%/|" {
				names = append(names, n+string(c))
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	escapes := make([]string, len(names))
	for i, n := range names {
		escapes[i] = driver.Escape(n)
	}
	slices.Sort(escapes)
	if n := len(slices.Compact(escapes)); n != len(names) {
		t.Errorf("%d names have %d escapes", len(names), n)
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a", "a/", "a|b", "a@5", "%", "%2F", "#", " ", "\x00", "\x7f", "é", "\xff", "語/1"} {
		f.Add(s, "a")
		f.Add("a", s)
		f.Add(s+"/", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) { checkEscape(t, a, b) })
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("x", driver.MaxName)
	slashes := strings.Repeat("/", driver.MaxName/3)
	for _, c := range []struct {
		name            string
		valid, tooLarge bool
	}{
		{"a", true, false}, {" ", true, false}, {"\x01t", true, false}, {"語", true, false}, {"\U0010ffff", true, false},
		{full, true, false}, {slashes, true, false}, {strings.Repeat("語", driver.MaxName/3), true, false},
		{"", false, false}, {"\x00", false, false}, {"a\x00", false, false}, {"\xff", false, false}, {"\xed\xa0\x80", false, false},
		{full + "x", false, true}, {slashes + "/", false, true}, {strings.Repeat("語", driver.MaxName/3+1), false, true},
	} {
		err := driver.CheckName(c.name)
		if (err == nil) != c.valid || errors.Is(err, driver.ErrTooLarge) != c.tooLarge {
			t.Errorf("CheckName(%.20q…, %d bytes): %v; expected valid %v, too large %v", c.name, len(c.name), err, c.valid, c.tooLarge)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes: %s", len(err.Error()), err)
		}
	}
}
