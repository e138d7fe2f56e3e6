package smtp

import (
	"context"
	"log/slog"
	"strconv"

	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/mail"
)

const maxLogged = 256 // octets of a client's text

// quoted returns what a client sent as it may stand in the log, where it can
// neither end a line nor move a cursor: printable ASCII as it is, anything
// with a quote, a backslash or another character as a Go string literal.
func quoted(s string) string {
	if len(s) > maxLogged {
		s = s[:maxLogged]
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}

// remoteAttr is the client's address, where it is known.
func (c *conversation) remoteAttr() slog.Attr {
	a := c.facts.Remote.Addr()
	if !a.IsValid() && c.told != nil {
		return slog.String("remote", "unknown")
	}
	return slog.String("remote", a.String())
}

func (c *conversation) logAccepted(ctx context.Context, m *Message, size int64) {
	if !c.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "message accepted",
		slog.String("session", c.facts.ID),
		slog.String("id", m.ID),
		slog.String("service", c.Protocol.String()),
		c.remoteAttr(),
		slog.String("user", c.facts.User),
		slog.String("from", quoted(m.Envelope.From.String())),
		slog.Int("recipients", len(m.Envelope.Recipients)),
		slog.Int64("size", size),
		c.told.Attr())
}

func (c *conversation) logRefused(ctx context.Context, cmd command, r *mail.Reply) {
	if !c.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs := []slog.Attr{
		slog.String("session", c.facts.ID),
		slog.String("service", c.Protocol.String()),
		c.remoteAttr(),
		slog.String("command", cmd.verb),
		slog.Int("code", r.Code),
		slog.String("reply", printable(r.Text)),
	}
	switch cmd.verb {
	case "MAIL", "RCPT", "EHLO", "HELO", "LHLO", "BDAT": // those of AUTH are secrets
		attrs = append(attrs, slog.String("argument", quoted(cmd.arg)))
	}
	if r.Reason != nil {
		attrs = append(attrs, slog.String("reason", quoted(r.Reason.Error())))
	}
	if c.tx != nil {
		attrs = append(attrs, slog.String("id", c.tx.id))
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "command refused", append(attrs, c.told.Attr())...)
}

func (c *conversation) logLoginFailed(ctx context.Context, l *login, err error) {
	front.LogFailed(ctx, c.log, front.Login{
		Service: c.Protocol.String(), Remote: c.remoteAttr().Value.String(), User: quoted(l.creds.User), Session: c.facts.ID, Told: c.told,
	}, err)
}

func (c *conversation) logLogin(ctx context.Context) {
	attrs := []slog.Attr{
		slog.String("service", c.Protocol.String()),
		c.remoteAttr(),
		slog.String("user", quoted(c.facts.User)),
		slog.String("session", c.facts.ID),
	}
	if c.link != nil {
		attrs = append(attrs, slog.String("backend", c.link.Route().String()))
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "authenticated", append(attrs, c.told.Attr())...)
}

// logEnd tells why a connection ended before its time.
func (c *conversation) logEnd(ctx context.Context, what string, err error) {
	c.log.LogAttrs(ctx, slog.LevelDebug, what,
		slog.String("session", c.facts.ID),
		c.remoteAttr(),
		slog.String("reason", quoted(err.Error())),
		c.told.Attr())
}
