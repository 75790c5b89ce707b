package remotelog

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Dial connects to a log that a Handler serves. The URL says where: unix:///PATH
// of a socket, http://HOST:PORT/ or, encrypted, https://HOST:PORT/. The returned
// log connects again by itself when the connection is lost.
func Dial(ctx context.Context, rawURL string, o *Options) (*Log, error) {
	opts := o.withDefaults()
	t, err := parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("remotelog: %w", err)
	}
	t.opts = opts
	l := newLog(t.String(), opts, t.connect)
	p, err := t.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("remotelog: %s: %w", t, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle(p)
	return l, nil
}

// A target is where a server is.
type target struct {
	url  *url.URL
	opts Options
}

func (t *target) String() string { return t.url.String() }

func parse(rawURL string) (*target, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, err
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%s: the URL has more than a place; a token is an option", u.Redacted())
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
	default:
		return nil, fmt.Errorf("%s: want unix:///PATH, http://HOST:PORT or https://HOST:PORT", rawURL)
	}
	return &target{url: u}, nil
}

// connect makes one attempt.
func (t *target) connect(ctx context.Context) (place, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	return handshake(ctx, conn, t.url, t.opts)
}

func (t *target) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	switch t.url.Scheme {
	case "unix":
		return d.DialContext(ctx, "unix", t.url.Path)
	case "https":
		c := &tls.Config{}
		if t.opts.TLS != nil {
			c = t.opts.TLS.Clone()
		}
		c.NextProtos = []string{"http/1.1"} // HTTP/2 has no upgrade
		return (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", hostPort(t.url, "443"))
	}
	return d.DialContext(ctx, "tcp", hostPort(t.url, "80"))
}

func hostPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// A refusedError is a server that does not let this client in.
type refusedError struct {
	status int
	text   string
}

func (e *refusedError) Error() string { return e.text }

// permanent reports whether another attempt would end in the same way.
func (e *refusedError) permanent() bool {
	return e.status != http.StatusServiceUnavailable && e.status != http.StatusConflict
}

// handshake asks the server for an upgrade. The connection is closed on an error.
func handshake(ctx context.Context, conn net.Conn, u *url.URL, o Options) (place, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends what is under way
	in, moves, err := upgrade(conn, request101(u, o))
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		_ = conn.Close() // whatever it says, it is of no use
		return nil, err
	}
	return newClient(newLink(conn, in), moves), nil
}

func upgrade(conn net.Conn, req *http.Request) (in *bufio.Reader, moves bool, err error) {
	if err := req.Write(conn); err != nil {
		return nil, false, err
	}
	in = bufio.NewReaderSize(conn, readBuffer)
	res, err := http.ReadResponse(in, req)
	if err != nil {
		return nil, false, fmt.Errorf("what listens there is no server of logs: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(res.Body, maxText)) // the status says enough
		return nil, false, &refusedError{res.StatusCode, fmt.Sprintf("%s: %s", res.Status, strings.TrimSpace(string(text)))}
	}
	if got := res.Header.Get("Upgrade"); got != protocol {
		return nil, false, &refusedError{res.StatusCode, fmt.Sprintf("the server speaks %.60q, this program %s", got, protocol)}
	}
	return in, res.Header.Get(movesHeader) != "", nil
}

func request101(u *url.URL, o Options) *http.Request {
	at := &url.URL{Scheme: "http", Host: "log", Path: "/"}
	if u.Scheme != "unix" {
		at.Host, at.Path = u.Host, u.Path
	}
	h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {protocol}, accessHeader: {accessWrite}, clientHeader: {o.client}}
	if o.ReadOnly {
		h.Set(accessHeader, accessRead)
	}
	if o.Token != "" {
		h.Set("Authorization", "Bearer "+o.Token)
	}
	return &http.Request{Method: http.MethodGet, URL: at, Host: at.Host, Header: h, ProtoMajor: 1, ProtoMinor: 1}
}
