package bank

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AccountID names an account: one name has an account for each currency. Both
// parts are any UTF-8 text without control characters; they are never trimmed
// or folded, so names that differ in a byte are different accounts.
type AccountID struct {
	Name     string
	Currency string
}

func (id AccountID) String() string { return id.Name + " " + id.Currency }

// Stream returns the stream of the account, account/CURRENCY/NAME.
func (id AccountID) Stream() string {
	return accountStream + escape(id.Currency) + "/" + escape(id.Name)
}

const accountStream = "account/"

// ParseStream returns the account that a stream belongs to; ok is false for
// streams that are no account's.
func ParseStream(stream string) (id AccountID, ok bool) {
	rest, ok := strings.CutPrefix(stream, accountStream)
	if !ok {
		return id, false
	}
	currency, name, ok := strings.Cut(rest, "/")
	if !ok {
		return id, false
	}
	var err error
	if id.Currency, err = url.PathUnescape(currency); err != nil {
		return id, false
	}
	if id.Name, err = url.PathUnescape(name); err != nil {
		return id, false
	}
	return id, true
}

// check refuses what cannot be a name. (That a name is too long the log says.)
func (id AccountID) check() error {
	if err := checkText("account", id.Name); err != nil {
		return err
	}
	return checkText("currency", id.Currency)
}

func checkText(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: the %s is empty", ErrName, what)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: the %s %.60q is not UTF-8", ErrName, what, s)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%w: the %s %.60q has a control character", ErrName, what, s)
	}
	return nil
}

// escape writes a part of a stream name so that different names stay different.
// A slash would end the part. Braces would put all accounts of one {group} into
// one shard. Everything else the log takes as it is.
func escape(s string) string {
	if !strings.ContainsAny(s, "%/{}") {
		return s
	}
	return escaper.Replace(s)
}

var escaper = strings.NewReplacer("%", "%25", "/", "%2F", "{", "%7B", "}", "%7D")
