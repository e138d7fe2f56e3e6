package managesieve

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// backend is the client's side of the dialogue with a back end until somebody
// is logged in there. What a back end says is bounded, each response and all
// of it; who bounds its time is the link.
type backend struct {
	conn   *wire.Conn
	budget int               // octets that may still come
	caps   map[string]string // by names in capitals
}

// Bounds of what a back end says before and with its answer to a login, in
// octets.
const (
	maxBackendLine = 8 << 10
	maxBackendTalk = 64 << 10
)

var errNotSieve = errors.New("back end does not speak ManageSieve")

func newBackend(c *wire.Conn) *backend { return &backend{conn: c, budget: maxBackendTalk} }

// begin takes the greeting, secures the link where that is asked for, tells of
// the client where that is, and logs in. It returns the text of the answer.
func (b *backend) begin(ctx context.Context, l *proxy.Link, w proxy.Words) (string, error) {
	if err := b.capabilities(); err != nil {
		return "", fmt.Errorf("greeting: %w", err)
	}
	if l.Backend().TLS == mapping.TLSStart {
		if err := b.startTLS(ctx, l); err != nil {
			return "", err
		}
	}
	if attributes, announced := b.caps["XCLIENT"]; announced && l.Backend().Tell&proxy.TellXCLIENT != 0 {
		if err := b.tell(l.XCLIENT(strings.Fields(strings.ToUpper(attributes)))); err != nil {
			return "", err
		}
	}
	return b.logIn(w)
}

// capabilities reads them, as they come with the greeting and after STARTTLS.
func (b *backend) capabilities() error {
	b.caps = map[string]string{}
	for {
		r, err := b.read()
		switch {
		case err != nil:
			return err
		case r.status == "OK":
			return nil
		case r.code == "REFERRAL":
			return referred(r.codeText)
		case r.status != "":
			return fmt.Errorf("back end says %s", r)
		case len(r.strings) == 0 || len(r.strings) > 2:
			return fmt.Errorf("%w: its capabilities are none", errNotSieve)
		}
		b.caps[strings.ToUpper(r.strings[0])] = strings.Join(r.strings[1:], "")
	}
}

// startTLS secures the connection or fails: nothing is shown in clear text.
func (b *backend) startTLS(ctx context.Context, l *proxy.Link) error {
	if _, offered := b.caps["STARTTLS"]; !offered {
		return fmt.Errorf("%w: it offers no STARTTLS", proxy.ErrUnfit)
	}
	r, err := b.command("STARTTLS")
	switch {
	case err != nil:
		return fmt.Errorf("STARTTLS: %w", err)
	case r.status != "OK":
		return fmt.Errorf("%w: it refuses STARTTLS: %s", proxy.ErrUnfit, r)
	}
	if err := l.StartTLS(ctx); err != nil {
		return err
	}
	b.conn = l.Conn
	if err := b.capabilities(); err != nil {
		return fmt.Errorf("after STARTTLS: %w", err)
	}
	return nil
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
	case r.status != "OK":
		return fmt.Errorf("%w: it refuses XCLIENT: %s", proxy.ErrUnfit, r)
	}
	return nil
}

// logIn logs in by AUTHENTICATE.
func (b *backend) logIn(w proxy.Words) (string, error) {
	if !slices.Contains(strings.Fields(strings.ToUpper(b.caps["SASL"])), w.Mechanism) {
		return "", fmt.Errorf("%w: it offers no %s on this connection", proxy.ErrUnfit, w.Mechanism)
	}
	response := base64.StdEncoding.EncodeToString(w.Response())
	r, err := b.command("AUTHENTICATE " + quoteAs(w.Mechanism, "+}\r\n") + " " + quoteAs(response, "+}\r\n"))
	if err == nil && r.status == "" { // a challenge
		r, err = b.command(quoteAs(w.Resign(), "+}\r\n"))
		if err == nil && r.status != "NO" {
			err = fmt.Errorf("%w: it has no answer to a response", errNotSieve)
		}
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("login: %w", err)
	case r.status == "OK":
		return proxy.OneLine(r.text), nil
	case r.code == "REFERRAL":
		return "", referred(r.codeText)
	case r.status == "BYE":
		return "", fmt.Errorf("back end says goodbye to a login: (%s)", r.code)
	}
	switch r.code {
	case "", "TRANSITION-NEEDED":
		return "", w.Refused(auth.ErrBadCredentials, "", r.text)
	case "AUTH-TOO-WEAK", "ENCRYPT-NEEDED":
		return "", fmt.Errorf("%w: it refuses the login with (%s)", proxy.ErrUnfit, r.code)
	}
	return "", w.Refused(auth.ErrUnavailable, "TRYLATER", r.text)
}
