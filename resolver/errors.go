package resolver

import (
	"errors"
	"net"
)

// Kinds of failure. Test with errors.Is; any other error counts as
// ErrTemporary. The *net.DNSError stays in the chain for who wants it.
var (
	ErrNotFound  = errors.New("no such name or record")
	ErrTemporary = errors.New("the domain name system did not answer")
	ErrNullMX    = errors.New("the domain takes no mail") // RFC 7505; only from MailHosts
)

var errNoServers = errors.New("no name servers given")

// kindError is an error of one of the kinds above.
type kindError struct{ kind, cause error }

func (e *kindError) Error() string   { return e.kind.Error() + ": " + e.cause.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.cause} }

// kindOf gives err its kind. Only a clear "not found" is permanent.
func kindOf(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrTemporary) {
		return err
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return &kindError{ErrNotFound, err}
	}
	return &kindError{ErrTemporary, err}
}
