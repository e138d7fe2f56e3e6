package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mapping"
)

// Link is a connection to a back end. A protocol's proxy reads the greeting
// and logs in on Conn, and then calls Relay.
type Link struct {
	*wire.Conn // what is said to the back end; Flush it

	user    string
	route   mapping.Route
	backend Backend
	client  Client
	nc      net.Conn

	passed []mapping.Route // that have referred to this one
}

// Route returns where the link leads.
func (l *Link) Route() mapping.Route { return l.route }

// Backend returns how the back end is reached, with its defaults.
func (l *Link) Backend() Backend { return l.backend }

// Client returns who is at the other end.
func (l *Link) Client() Client { return l.client }

// User returns the name to log in with: the route's, or else the one that
// Reach was asked about.
func (l *Link) User() string {
	if l.route.User != "" {
		return l.route.User
	}
	return l.user
}

// StartTLS secures the link, after the protocol has agreed on it. An error
// wraps ErrUnavailable; nothing may be sent after it.
func (l *Link) StartTLS(ctx context.Context) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if l.backend.TLSConfig != nil {
		config = l.backend.TLSConfig.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = l.route.Host
	}
	layer := tls.Client(l.nc, config)
	if err := layer.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: TLS with %s: %w", ErrUnavailable, l.route.Host, err)
	}
	b := &l.backend
	l.Conn = wire.New(layer, wire.Timeouts{Idle: b.Connect, Line: b.Connect, Read: b.ReadWrite, Write: b.ReadWrite})
	return nil
}

// Failed notes that the back end failed after the connection was made, in a
// greeting or a login that broke off; not that it refused a login.
func (l *Link) Failed(err error) {}

// Relay moves octets between the client and the back end, beginning with what
// either Conn has read ahead, until one side ends, the session is kicked, or
// ctx ends. Both connections are closed then. The error says why it ended;
// nil when a side did in order.
func (l *Link) Relay(ctx context.Context, client *wire.Conn) error {
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { client.Close(); l.Close() })
	defer stop()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(flushed{l.Conn}, client)
		l.Close()
		done <- err
	}()
	_, _ = io.Copy(flushed{client}, l.Conn)
	client.Close()
	<-done
	return ctx.Err()
}

// flushed writes through.
type flushed struct{ *wire.Conn }

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.Conn.Write(p)
	if err == nil {
		err = f.Conn.Flush()
	}
	return n, err
}
