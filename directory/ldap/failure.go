package ldap

import (
	"errors"
	"fmt"

	ldap "github.com/go-ldap/ldap/v3"
)

// failure is an answer that did not come, or that says nothing about who was
// asked for: it is ErrUnavailable. It says which server failed, and at what.
type failure struct {
	uri, step string
	err       error
	outage    bool // another server may know better, and this one must show first that it works
}

func (f *failure) Error() string {
	return fmt.Sprintf("%s: %s: %s: %s", ErrUnavailable, f.uri, f.step, text(f.err))
}

func (f *failure) Unwrap() []error { return []error{ErrUnavailable, f.err} }

func isOutage(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.outage
}

// unavailable is a failure of no server in particular.
func unavailable(format string, values ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUnavailable}, values...)...)
}

// maxDiagnostic bounds what is shown of a server's own text, in octets.
const maxDiagnostic = 256

// text says what an error is. A server's own words are quoted and cut.
func text(err error) string {
	var failed *ldap.Error
	if !errors.As(err, &failed) || failed.ResultCode >= ldap.ErrorNetwork {
		return err.Error()
	}
	var e elsewhere
	_ = errors.As(err, &e)
	s := fmt.Sprintf("result %d (%s)", failed.ResultCode, ldap.LDAPResultCodeMap[failed.ResultCode])
	if words := diagnostic(failed); words != "" {
		s += fmt.Sprintf(" %.*q", maxDiagnostic, words)
	}
	for _, uri := range e.at {
		s += fmt.Sprintf(" %.*q", maxDiagnostic, uri)
	}
	return s
}

func diagnostic(failed *ldap.Error) string {
	if failed.Err == nil {
		return ""
	}
	return failed.Err.Error()
}

// code returns the result code with which a server answered (RFC 4511
// §4.1.9), or -1 when it was no answer.
func code(err error) int {
	var failed *ldap.Error
	switch {
	case err == nil:
		return ldap.LDAPResultSuccess
	case errors.As(err, &failed) && failed.ResultCode < ldap.ErrorNetwork:
		return int(failed.ResultCode)
	}
	return -1
}

// isOurs reports whether a question was not even sent, since it was malformed.
func isOurs(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.ErrorFilterCompile, ldap.ErrorEmptyPassword)
}

// elsewhere marks an answer which says that this server lacks what its fellows
// may have, and where it says that it is.
type elsewhere struct {
	error
	at referral
}

func (e elsewhere) Unwrap() error { return e.error }

// meansOutage reports whether an error says something about the server rather
// than about the question.
func meansOutage(err error) bool {
	var e elsewhere
	if errors.As(err, &e) {
		return true
	}
	switch code(err) {
	case -1:
		return !isOurs(err) && !errors.Is(err, errTooMuch)
	case ldap.LDAPResultOperationsError, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultOther:
		return true
	}
	return false
}
