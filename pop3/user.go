package pop3

import (
	"context"
	"log/slog"
	"strings"
)

// userName is USER (RFC 1939 §7). Whether there is such a user shows with PASS only,
// and not even then.
func (n *session) userName(_ context.Context, args string) error {
	if err := n.mayLogIn(); err != nil {
		return err
	}
	if args = strings.TrimRight(args, " "); args == "" {
		return misunderstood("USER needs a name")
	}
	n.user = args
	n.ok("Send PASS")
	return nil
}

// pass is PASS (RFC 1939 §7): all that follows one space is the password,
// other spaces included.
func (n *session) pass(ctx context.Context, args string) error {
	if err := n.mayLogIn(); err != nil {
		return err
	}
	if n.user == "" {
		return misunderstood("Send USER first")
	}
	c := n.credentials()
	c.User, c.Password = n.user, args
	n.user = ""
	id, err := n.authenticator().Authenticate(ctx, c)
	if err != nil {
		return n.loginFailed(ctx, c.User, err)
	}
	n.log(ctx, slog.LevelDebug, "authenticated", "with", "USER")
	return n.login(ctx, id)
}
