package ldap

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// use says what a connection is for.
type use int

const (
	searches  use = iota // bound as Config.BindDN
	userBinds            // bound as whoever logs in
)

// dial connects to a server, secures the connection and binds it, all before
// one deadline. Whatever fails here is an outage of the server.
func (c *Connector) dial(ctx context.Context, at endpoint, deadline time.Time, to use) (*conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	raw, err := (&net.Dialer{}).DialContext(ctx, at.network, at.address)
	if err != nil {
		return nil, &failure{at.uri, "connect", err, true}
	}
	nc := raw
	if at.implied {
		secured := tls.Client(raw, c.tlsFor(at))
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, &failure{at.uri, "TLS handshake", err, true}
		}
		nc = secured
	}
	w := newWire(nc, raw)
	conn := &conn{Conn: ldap.NewConn(w, at.implied), wire: w}
	conn.Start()
	if step, err := c.prepare(ctx, conn, at, to); err != nil {
		conn.broken = true
		conn.close()
		return nil, &failure{at.uri, step, err, true}
	}
	return conn, nil
}

// prepare makes a connection ready for its use; the step that failed is
// returned with the error.
func (c *Connector) prepare(ctx context.Context, conn *conn, at endpoint, to use) (step string, err error) {
	deadline, _ := ctx.Deadline()
	if c.startsTLS(at) {
		err := conn.put(ctx, deadline, maxHandshake, func(l *ldap.Conn) error { return l.StartTLS(c.tlsFor(at)) })
		if err != nil {
			return "StartTLS", err
		}
	}
	if to == searches && c.c.BindDN != "" {
		err := conn.put(ctx, deadline, c.c.MaxAnswer, func(l *ldap.Conn) error { return l.Bind(c.c.BindDN, c.c.BindPassword) })
		return "bind as " + c.c.BindDN, err
	}
	return "", nil
}

// maxHandshake bounds what a server sends in a TLS handshake, in octets.
const maxHandshake = 1 << 20

func (c *Connector) startsTLS(at endpoint) bool {
	return c.c.StartTLS && !at.implied && !at.local()
}

// tlsFor returns the TLS configuration for a server: verified, unless the
// operator's own says that it is not.
func (c *Connector) tlsFor(at endpoint) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.c.TLS != nil {
		config = c.c.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = at.host
	}
	return config
}
