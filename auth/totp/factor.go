package totp

import (
	"log/slog"
	"strings"

	"github.com/posthouse-mail/posthouse/auth/internal/secret"
)

// Recovery codes: how many there are, and how long each is.
const (
	recoveryCodes   = 10
	recoveryLetters = 20 // 94 bits
	recoveryLength  = recoveryLetters + recoveryLetters/4 - 1
)

// Factor is the second factor of a user.
type Factor struct {
	Policy   Policy   `json:"policy,omitempty"`
	Key      *Key     `json:"key,omitempty"`      // nil: not set up
	Recovery []string `json:"recovery,omitempty"` // hashes of codes that are good instead, each once
}

// NewRecovery generates recovery codes. The codes are for the user, who keeps
// them where his phone is not, and are shown once; the hashes are for Factor.
func NewRecovery() (codes, hashes []string) {
	for range recoveryCodes {
		code := secret.Group(secret.Letters(recoveryLetters))
		codes, hashes = append(codes, code), append(hashes, secret.Hash(code))
	}
	return codes, hashes
}

// on reports whether a code is asked for.
func (f Factor) on() bool { return f.Key != nil && f.Policy != Disabled }

// cut cuts a code off the end of a password, or a recovery code. Without one,
// or when nothing is left before it, code is empty and the password whole.
func (f Factor) cut(password string) (rest, code string) {
	if at := len(password) - f.Key.digits(); at > 0 && strings.Trim(password[at:], "0123456789") == "" {
		return password[:at], password[at:]
	}
	if at := len(password) - recoveryLength; at > 0 && isRecovery(password[at:]) {
		return password[:at], password[at:]
	}
	return password, ""
}

// recovery returns the hash that a recovery code fits. It looks at all.
func (f Factor) recovery(code string) (hash string, ok bool) {
	if !isRecovery(code) {
		return "", false
	}
	for _, one := range f.Recovery {
		if secret.Matches(one, code) {
			hash, ok = one, true
		}
	}
	return hash, ok
}

func isRecovery(code string) bool {
	letters := strings.ReplaceAll(code, "-", "")
	return secret.IsLetters(letters, recoveryLetters) && code == secret.Group(letters)
}

// String keeps the key out of logs.
func (f Factor) String() string {
	if f.Key == nil {
		return "no second factor"
	}
	return "a second factor"
}

// GoString is String, for the verb %#v.
func (f Factor) GoString() string { return f.String() }

// LogValue keeps the key out of structured logs.
func (f Factor) LogValue() slog.Value { return slog.StringValue(f.String()) }
