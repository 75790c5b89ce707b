package remotelog

import (
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// Options change how a log is opened. The zero value is a good default.
type Options struct {
	// Token is what a server on TCP asks for.
	Token string

	// TLS is how an https URL is spoken to. Default: the system's authorities.
	TLS *tls.Config

	// Patience is for how long a call waits when nobody serves the log, or nothing can
	// be written, before it fails. Default 10 s. A ctx may end it sooner. A Write under
	// which the disk has failed waits until somebody can say what has become of it.
	Patience time.Duration

	// ReadOnly refuses Writes. Open does not change the files of a directory that
	// nobody else holds, and leaves it to the first who comes to write.
	ReadOnly bool

	// Store says how Open opens the directory where this process comes to own it.
	// MustExist holds for the first time: a directory that was a log is never made
	// one again. Its ReadOnly is not looked at.
	Store pebblelog.Options

	// Logger gets what an operator should know: who owns the directory, and clients
	// that were refused. Nil is silent.
	Logger *slog.Logger

	client string // names this log where it is served
}

const defaultPatience = 10 * time.Second

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Patience <= 0 {
		out.Patience = defaultPatience
	}
	out.client = rand.Text()
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}
