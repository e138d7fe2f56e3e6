package imap

import (
	"context"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/storage"
)

// What every session can do, and what only sessions that are logged in are
// told of.
var (
	capsAlways = []string{"IMAP4rev1", "IMAP4rev2", "LITERAL+", "ENABLE", "ID", "SASL-IR"}
	capsAfter  = []string{
		"ACL",
		"BINARY",
		"CATENATE",
		"CHILDREN",
		"COMPRESS=DEFLATE",
		"CONDSTORE",
		"CONTEXT=SEARCH",
		"CONTEXT=SORT",
		"CREATE-SPECIAL-USE",
		"ESEARCH",
		"ESORT",
		"I18NLEVEL=1",
		"IDLE",
		"INPROGRESS",
		"LANGUAGE",
		"LIST-EXTENDED",
		"LIST-MYRIGHTS",
		"LIST-STATUS",
		"MOVE",
		"MULTIAPPEND",
		"MULTISEARCH",
		"NAMESPACE",
		"NOTIFY",
		"OBJECTID",
		"PARTIAL",
		"PREVIEW",
		"QRESYNC",
		"REPLACE",
		"RIGHTS=kxte",
		"SAVEDATE",
		"SEARCH=FUZZY",
		"SEARCHRES",
		"SORT",
		"SORT=DISPLAY",
		"SPECIAL-USE",
		"STATUS=SIZE",
		"THREAD=ORDEREDSUBJECT",
		"THREAD=REFERENCES",
		"UIDONLY",
		"UIDPLUS",
		"UNSELECT",
		"UTF8=ACCEPT",
		"WITHIN",
	}
)

// capabilityCode returns the capabilities of the session as it is now, as a
// response code (RFC 9051 §7.2.2).
func (s *session) capabilityCode() string {
	var b strings.Builder
	b.Grow(256)
	b.WriteString("CAPABILITY")
	for _, c := range s.gate.caps {
		b.WriteByte(' ')
		b.WriteString(c)
	}
	if s.states() != before {
		caps := append(s.capsOfStore(), capsAfter...)
		if !s.told.Relayed() {
			caps = append(caps, unauthenticate)
		}
		b.WriteString(" " + strings.Join(caps, " ") + " APPENDLIMIT=" + strconv.FormatInt(s.limits.AppendSize, 10))
		b.WriteString(s.messageLimitCapability())
		return b.String()
	}
	if s.canStartTLS() {
		b.WriteString(" STARTTLS")
	}
	if !s.mayShowPassword() || auth.ProofsOf(s.authenticator())&auth.Passwords == 0 {
		b.WriteString(" LOGINDISABLED")
	}
	for _, m := range s.mechanisms() {
		b.WriteString(" AUTH=")
		b.WriteString(m)
	}
	return b.String()
}

// capsOfStore returns what depends on the powers of the user's account.
func (s *session) capsOfStore() (caps []string) {
	if _, ok := storage.As[storage.Annotations](s.account); ok {
		caps = append(caps, "LIST-METADATA", "METADATA", "METADATA-SERVER")
	}
	if _, ok := storage.As[storage.Quotas](s.account); ok {
		caps = append(caps, "QUOTA", "QUOTA=RES-MAILBOX", "QUOTA=RES-MESSAGE", "QUOTA=RES-STORAGE")
		if s.maySetQuota() {
			caps = append(caps, "QUOTASET")
		}
	}
	return caps
}

func (s *session) canStartTLS() bool { return s.gate.tls != nil && !s.secure() }

// mayShowPassword reports whether the client may send a password as it is.
func (s *session) mayShowPassword() bool {
	allowed := s.gate.plainAuth
	return s.secure() || allowed != nil && allowed(s.told.Allowed(s.conn.Remote()))
}

// mechanisms returns the SASL mechanisms that this connection may use.
func (s *session) mechanisms() []string {
	return auth.Mechanisms(s.authenticator(), s.gate.sasl, s.credentials())
}

// parseCapability reads CAPABILITY (RFC 9051 §6.1.1).
func parseCapability(*parser) request {
	return requestFunc(func(_ context.Context, s *session) (result, error) {
		s.out.text("* ")
		s.out.text(s.capabilityCode())
		s.out.end()
		return result{}, nil
	})
}

// capabilities writes those of a back end.
func (o *output) capabilities(list string) {
	o.text("* CAPABILITY ")
	o.text(clean(list))
	o.end()
}

// requestFunc lets a function be a request.
type requestFunc func(ctx context.Context, s *session) (result, error)

func (f requestFunc) run(ctx context.Context, s *session) (result, error) { return f(ctx, s) }

func nothing(context.Context, *session) (result, error) { return result{}, nil }
