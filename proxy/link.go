package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
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
