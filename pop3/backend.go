package pop3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// backend is the client's side of the dialogue with a back end until somebody
// is logged in there. What a back end says is bounded, each line and all of
// it; who bounds its time is the link.
type backend struct {
	conn    *wire.Conn
	caps    []string // as CAPA tells them; nil: there is no CAPA
	xclient []string // the attributes that XCLIENT takes, empty: all; nil: it is not announced
}

// Bounds of what a back end says before and with its answer to a login.
const (
	maxBackendLine  = 4 << 10
	maxBackendLines = 100
)

// maxCommand is how long a command with an initial response may be, in octets
// with CRLF (RFC 5034 §4, RFC 2449 §4).
const maxCommand = 255

var errNotPOP3 = errors.New("back end does not speak POP3")

func newBackend(c *wire.Conn) *backend { return &backend{conn: c} }

// begin takes the banner, secures the link where that is asked for, tells of
// the client where that is, and logs in. It returns the text of the answer.
func (b *backend) begin(ctx context.Context, l *proxy.Link, w proxy.Words) (string, error) {
	if err := b.banner(); err != nil {
		return "", err
	}
	if l.Backend().TLS == mapping.TLSStart {
		if err := b.startTLS(ctx, l); err != nil {
			return "", err
		}
	}
	if err := b.capabilities(); err != nil {
		return "", err
	}
	if l.Backend().Tell&proxy.TellXCLIENT != 0 && b.xclient != nil {
		if err := b.tell(l.XCLIENT(b.xclient)); err != nil {
			return "", err
		}
	}
	return b.logIn(w)
}

// banner takes the greeting. Dovecot announces XCLIENT there, to whom it
// trusts.
func (b *backend) banner() error {
	r, err := b.answer()
	switch {
	case err != nil:
		return fmt.Errorf("banner: %w", err)
	case !r.ok:
		return fmt.Errorf("back end greets with %s", r)
	case strings.EqualFold(r.code, "XCLIENT"):
		b.xclient = []string{}
	}
	return nil
}

// startTLS secures the connection or fails: nothing is shown in clear text.
func (b *backend) startTLS(ctx context.Context, l *proxy.Link) error {
	r, err := b.command("STLS")
	switch {
	case err != nil:
		return fmt.Errorf("STLS: %w", err)
	case !r.ok:
		return fmt.Errorf("%w: it refuses STLS: %s", proxy.ErrUnfit, r)
	}
	if err := l.StartTLS(ctx); err != nil {
		return err
	}
	b.conn = l.Conn
	return nil
}

// capabilities asks CAPA (RFC 2449 §5). A back end that does not know it is
// logged in to with USER and PASS.
func (b *backend) capabilities() error {
	r, err := b.command("CAPA")
	if err != nil || !r.ok {
		return err
	}
	b.caps = []string{}
	for range maxBackendLines {
		line, err := b.line()
		switch {
		case err != nil:
			return fmt.Errorf("CAPA: %w", err)
		case line == ".":
			return nil
		}
		b.caps = append(b.caps, line)
		if words := strings.Fields(strings.ToUpper(line)); len(words) > 0 && words[0] == "XCLIENT" {
			b.xclient = words[1:]
		}
	}
	return fmt.Errorf("%w: CAPA has no end", errNotPOP3)
}

// tell says XCLIENT. Who announces it and then refuses it must not take this
// front end for the client.
func (b *backend) tell(attributes string) error {
	if attributes == "" {
		return nil
	}
	r, err := b.command("XCLIENT " + attributes)
	switch {
	case err != nil:
		return fmt.Errorf("XCLIENT: %w", err)
	case !r.ok:
		return fmt.Errorf("%w: it refuses XCLIENT: %s", proxy.ErrUnfit, r)
	}
	return nil
}

// logIn logs in by AUTH, or else by USER and PASS.
func (b *backend) logIn(w proxy.Words) (string, error) {
	var r backendReply
	var err error
	switch {
	case b.has("SASL", w.Mechanism):
		r, err = b.authenticate(w)
	case w.Plain() && (b.caps == nil || b.has("USER", "")):
		r, err = b.command("USER " + w.User)
		if err == nil && r.ok {
			r, err = b.command("PASS " + w.Secret)
		}
	default:
		return "", fmt.Errorf("%w: it offers no %s on this connection", proxy.ErrUnfit, w.Mechanism)
	}
	if err != nil {
		return "", fmt.Errorf("login: %w", err)
	}
	if !r.ok {
		code, kind := codeOf(r.code)
		return "", w.Refused(kind, code, r.text)
	}
	return r.text, nil
}

// has reports whether CAPA tells of a capability, with an argument unless that
// is empty.
func (b *backend) has(name, argument string) bool {
	return slices.ContainsFunc(b.caps, func(line string) bool {
		words := strings.Fields(strings.ToUpper(line))
		return len(words) > 0 && words[0] == name && (argument == "" || slices.Contains(words[1:], argument))
	})
}

// authenticate is AUTH (RFC 5034).
func (b *backend) authenticate(w proxy.Words) (backendReply, error) {
	response := base64.StdEncoding.EncodeToString(w.Response())
	line := "AUTH " + w.Mechanism + " " + response
	if len(line)+len("\r\n") > maxCommand {
		r, err := b.command("AUTH " + w.Mechanism)
		switch {
		case err != nil:
			return r, err
		case !r.more:
			return r, fmt.Errorf("%w: it asks for no response to AUTH: %s", proxy.ErrUnfit, r)
		}
		line = response
	}
	r, err := b.command(line)
	if err != nil || !r.more {
		return r, err
	}
	if r, err = b.command(w.Resign()); err == nil && (r.more || r.ok) {
		err = fmt.Errorf("%w: it has no answer to a response", errNotPOP3)
	}
	return r, err
}
