package managesieve

import (
	"context"
	"log/slog"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/proxy"
)

// run runs a command (RFC 5804 §2).
func (n *session) run(ctx context.Context, tokens []token) error {
	if len(tokens) == 0 || tokens[0].kind != atom {
		return misunderstood("Not a command")
	}
	if strings.EqualFold(tokens[0].text, "XCLIENT") && n.mayTell(ctx) {
		return n.xclient(ctx, tokens[1:])
	}
	args := make([]string, 0, len(tokens)-1)
	for _, t := range tokens[1:] {
		if t.kind != str {
			return misunderstood("Arguments are strings")
		}
		args = append(args, t.text)
	}
	switch strings.ToUpper(tokens[0].text) {
	case "AUTHENTICATE":
		return n.authenticate(ctx, args)
	case "STARTTLS":
		return n.startTLS(ctx, args)
	case "LOGOUT":
		return n.logout(args)
	case "CAPABILITY":
		return n.capability(args)
	case "NOOP":
		return n.noop(args)
	case "HAVESPACE", "PUTSCRIPT", "LISTSCRIPTS", "SETACTIVE", "GETSCRIPT", "DELETESCRIPT", "RENAMESCRIPT", "CHECKSCRIPT", "UNAUTHENTICATE":
		return misunderstood("Authenticate first")
	}
	return misunderstood("Unknown command")
}

func none(args []string) error {
	if len(args) > 0 {
		return misunderstood("No argument expected")
	}
	return nil
}

// capability is CAPABILITY (RFC 5804 §2.4).
func (n *session) capability(args []string) error {
	if err := none(args); err != nil {
		return err
	}
	n.capabilities("Capability completed")
	return nil
}

// capabilities says what is possible at this moment (RFC 5804 §1.7).
func (n *session) capabilities(text string) {
	say := func(line string) { _, _ = n.conn.WriteString(line + "\r\n") }
	say(`"IMPLEMENTATION" "Posthouse"`)
	say(`"SASL" ` + quote(strings.Join(auth.Mechanisms(n.visitor, proxy.PasswordsUnlessNamed(n.proxy.SASL), n.credentials()), " ")))
	say(`"SIEVE" ` + quote(n.proxy.Sieve))
	if n.proxy.TLS != nil && !n.secure() {
		say(`"STARTTLS"`)
	}
	say(`"VERSION" "1.0"`)
	if n.told.Listens() {
		say(`"XCLIENT"`)
	}
	n.ok(text)
}

func (n *session) greeting() string {
	text := "ManageSieve ready"
	if n.proxy.Hostname != "" {
		text = n.proxy.Hostname + " " + text
	}
	return text
}

// noop is NOOP (RFC 5804 §2.13).
func (n *session) noop(args []string) error {
	switch len(args) {
	case 0:
		n.ok("Done")
	case 1:
		n.answer("OK", "TAG "+quote(args[0]), "Done")
	default:
		return misunderstood("NOOP takes one string")
	}
	return nil
}

// logout is LOGOUT (RFC 5804 §2.3).
func (n *session) logout(args []string) error {
	if err := none(args); err != nil {
		return err
	}
	n.over = true
	n.ok("Goodbye")
	return nil
}

// startTLS is STARTTLS (RFC 5804 §2.2). The capabilities are told again
// afterwards: those before it may be somebody else's.
func (n *session) startTLS(ctx context.Context, args []string) error {
	switch {
	case none(args) != nil:
		return none(args)
	case n.secure():
		return misunderstood("TLS is already active")
	case n.proxy.TLS == nil:
		return misunderstood("TLS is not available")
	case n.conn.Buffered() > 0:
		return farewell("Input before the TLS handshake")
	}
	n.ok("Begin TLS negotiation")
	if err := n.conn.StartTLS(ctx, n.proxy.TLS); err != nil {
		n.log(ctx, slog.LevelDebug, "TLS handshake failed", "err", err)
		n.over = true // nothing can be said any more
		n.conn.Close()
		return nil
	}
	n.visitor.Close()
	n.forgetTold()
	n.capabilities("TLS negotiation successful")
	return nil
}
