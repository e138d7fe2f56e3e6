package wire

import (
	"context"
	"crypto/tls"
	"time"
)

// StartTLS performs the server's side of a TLS handshake, within the
// handshake timeout. Answer the client and Flush first. ErrEarlyInput when octets
// have arrived already: they are plain text that an attacker may have put
// there, and the connection must be closed. After any error it is unusable.
func (c *Conn) StartTLS(ctx context.Context, config *tls.Config) error {
	return c.secure(ctx, tls.Server(c.outer, config))
}

// StartTLSClient performs the client's side of a TLS handshake, at once or
// after the server has agreed to it, as StartTLS does the server's.
func (c *Conn) StartTLSClient(ctx context.Context, config *tls.Config) error {
	return c.secure(ctx, tls.Client(c.outer, config))
}

func (c *Conn) secure(ctx context.Context, layer *tls.Conn) error {
	if c.tls != nil {
		return ErrAlreadyTLS
	}
	if c.zip != nil {
		return ErrCompressed
	}
	if c.Buffered() > 0 {
		return ErrEarlyInput
	}
	if err := c.Flush(); err != nil {
		return err
	}
	c.dropInput()
	if err := c.handshake(ctx, layer); err != nil {
		return err
	}
	state := layer.ConnectionState()
	c.tls, c.nc = &state, layer
	c.wait = newWaiter(layer)
	return nil
}

// Handshake performs the TLS handshake of a connection that was accepted with
// a TLS layer whose handshake has not been done yet, as tls.Listener hands
// them out. It does nothing for every other connection. After an error the
// connection is unusable.
func (c *Conn) Handshake(ctx context.Context) error {
	layer, ok := innermostTLS(c.nc)
	if !ok || c.tls == nil || c.tls.HandshakeComplete {
		return nil
	}
	if err := c.handshake(ctx, layer); err != nil {
		return err
	}
	state := layer.ConnectionState()
	c.tls = &state
	return nil
}

// handshake runs in a goroutine of its own: it needs a deep stack, which the
// session's goroutine would keep.
func (c *Conn) handshake(ctx context.Context, layer *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, c.t.Handshake)
	defer cancel()
	_ = c.outer.SetReadDeadline(time.Time{}) // an Interrupt before it must not break it
	done := make(chan error, 1)
	go func() { done <- layer.HandshakeContext(ctx) }()
	return <-done
}
