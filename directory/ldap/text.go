package ldap

import (
	"fmt"
	"strings"
)

// How the choices of a Config are written in configuration files and printed.
var (
	serverTypes = []string{"generic", "openldap", "active-directory"}
	scopes      = []string{"subtree", "one-level", "base"}
	severals    = []string{"error", "first"}
	referrals   = []string{"ignore", "follow"}
)

// MarshalText returns "generic", "openldap" or "active-directory".
func (t ServerType) MarshalText() ([]byte, error) { return word(serverTypes, int(t)) }

// UnmarshalText reads what MarshalText writes.
func (t *ServerType) UnmarshalText(text []byte) error { return unword(serverTypes, text, t) }

// String is MarshalText for people.
func (t ServerType) String() string { return spoken(t.MarshalText()) }

// MarshalText returns "subtree", "one-level" or "base".
func (s Scope) MarshalText() ([]byte, error) { return word(scopes, int(s)) }

// UnmarshalText reads what MarshalText writes.
func (s *Scope) UnmarshalText(text []byte) error { return unword(scopes, text, s) }

// String is MarshalText for people.
func (s Scope) String() string { return spoken(s.MarshalText()) }

// MarshalText returns "error" or "first".
func (s Several) MarshalText() ([]byte, error) { return word(severals, int(s)) }

// UnmarshalText reads what MarshalText writes.
func (s *Several) UnmarshalText(text []byte) error { return unword(severals, text, s) }

// MarshalText returns "ignore" or "follow".
func (r Referrals) MarshalText() ([]byte, error) { return word(referrals, int(r)) }

// UnmarshalText reads what MarshalText writes.
func (r *Referrals) UnmarshalText(text []byte) error { return unword(referrals, text, r) }

func word(words []string, i int) ([]byte, error) {
	if i < 0 || i >= len(words) {
		return nil, fmt.Errorf("%w: %d is none of %s", ErrConfig, i, strings.Join(words, ", "))
	}
	return []byte(words[i]), nil
}

func unword[T ~int](words []string, text []byte, to *T) error {
	for i, w := range words {
		if strings.EqualFold(w, string(text)) {
			*to = T(i)
			return nil
		}
	}
	return fmt.Errorf("%w: %q is none of %s", ErrConfig, text, strings.Join(words, ", "))
}

func spoken(text []byte, err error) string {
	if err != nil {
		return err.Error()
	}
	return string(text)
}
