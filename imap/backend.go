package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// backend is the client's side of the dialogue with a back end until somebody
// is logged in there. What a back end says is bounded, each line and all of
// it; who bounds its time is the link.
type backend struct {
	link    *proxy.Link // nil in tests of the dialogue alone
	conn    *wire.Conn
	budget  int // octets that may still come
	tags    int
	ignored string   // tag of a command whose answer is still to come and means nothing; empty: there is none
	caps    []string // nil: not known
}

// Bounds of what a back end says before and with its answer to a login.
const (
	maxBackendLine = 8 << 10
	maxBackendTalk = 64 << 10
)

var errNotIMAP = errors.New("back end does not speak IMAP")

func newBackend(link *proxy.Link) *backend {
	return &backend{link: link, conn: link.Conn, budget: maxBackendTalk}
}

// begin takes the greeting and secures the connection where that is asked for.
func (b *backend) begin(ctx context.Context) error {
	if err := b.greeting(); err != nil {
		return err
	}
	if b.link.Backend().TLS == mapping.TLSStart {
		if err := b.startTLS(ctx); err != nil {
			return err
		}
	}
	return b.needCapabilities()
}

// greeting accepts "* OK" alone: after PREAUTH (RFC 9051 §7.1.4) nobody would
// know whose mail it is.
func (b *backend) greeting() error {
	r, err := b.read()
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	switch {
	case r.tag != untagged:
		return fmt.Errorf("%w: its greeting has no asterisk", errNotIMAP)
	case r.kind == "OK":
		return nil
	case r.kind == "PREAUTH":
		return fmt.Errorf("%w: it has logged somebody in unasked", proxy.ErrUnfit)
	case r.kind == "BYE":
		return b.goodbye(r)
	}
	return fmt.Errorf("%w: its greeting is none", errNotIMAP)
}

// startTLS secures the connection or fails: nothing is shown in clear text.
func (b *backend) startTLS(ctx context.Context) error {
	if err := b.needCapabilities(); err != nil {
		return err
	}
	if !b.has("STARTTLS") {
		return fmt.Errorf("%w: it offers no STARTTLS", proxy.ErrUnfit)
	}
	r, err := b.command("STARTTLS")
	switch {
	case err != nil:
		return fmt.Errorf("STARTTLS: %w", err)
	case r.kind != "OK":
		return fmt.Errorf("%w: it refuses STARTTLS: %s", proxy.ErrUnfit, r)
	case b.conn.Buffered() > 0:
		return fmt.Errorf("STARTTLS: %w", wire.ErrEarlyInput)
	}
	if err := b.link.StartTLS(ctx); err != nil {
		return err
	}
	b.conn = b.link.Conn
	b.caps = nil // somebody else may have said them (RFC 9051 §6.2.1)
	return nil
}

// needCapabilities asks for the capabilities unless they were told.
func (b *backend) needCapabilities() error {
	if b.caps != nil {
		return nil
	}
	r, err := b.command("CAPABILITY")
	switch {
	case err != nil:
		return fmt.Errorf("CAPABILITY: %w", err)
	case r.kind != "OK" || b.caps == nil:
		return fmt.Errorf("%w: it tells no capabilities: %s", errNotIMAP, r)
	}
	return nil
}

func (b *backend) has(capability string) bool {
	return slices.ContainsFunc(b.caps, func(c string) bool { return strings.EqualFold(c, capability) })
}

// command says a command and returns the tagged answer. Each line that the back
// end asks for is one of the answers, in order.
func (b *backend) command(text string, answers ...string) (backendReply, error) {
	b.tags++
	tag := b.tag()
	if err := b.say(tag + " " + text); err != nil {
		return backendReply{}, err
	}
	for {
		r, err := b.read()
		switch {
		case err != nil:
			return r, err
		case r.tag == tag:
			return r, b.hearIgnored()
		case r.tag == untagged && r.kind == "BYE":
			return r, b.goodbye(r)
		case r.tag == untagged:
			continue
		case b.isIgnored(r):
			continue
		case r.tag != continuation || len(answers) == 0:
			return r, fmt.Errorf("%w: an answer to nothing", errNotIMAP)
		}
		if err := b.say(answers[0]); err != nil {
			return r, err
		}
		answers = answers[1:]
	}
}

// tag is that of the latest command.
func (b *backend) tag() string { return "p" + strconv.Itoa(b.tags) }

// isIgnored reports whether a reply is the answer that means nothing.
func (b *backend) isIgnored(r backendReply) bool {
	if b.ignored == "" || r.tag != b.ignored {
		return false
	}
	b.ignored = ""
	return true
}

// hearIgnored takes the answer that means nothing where it comes late: the
// client must not get it.
func (b *backend) hearIgnored() error {
	for b.ignored != "" {
		r, err := b.read()
		switch {
		case err != nil:
			return err
		case !b.isIgnored(r) && r.tag != untagged:
			return fmt.Errorf("%w: no answer to %s", errNotIMAP, b.ignored)
		}
	}
	return nil
}

func (b *backend) say(line string) error {
	_, err := b.conn.WriteString(line + "\r\n")
	return err
}

// goodbye is the error of a back end that ends the connection.
func (b *backend) goodbye(r backendReply) error {
	if to, ok := referralIn(r.code); ok {
		return &proxy.Referral{To: to}
	}
	return fmt.Errorf("back end says goodbye: %s", r)
}
