package auth

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/text/unicode/norm"
)

// Verifier checks passwords against what is stored of them in directories and
// password files. The zero value allows nothing that is weak, and no clear text.
//
// It knows, with the names of schemes in any letter case:
//
//   - modular crypt, with or without any {SCHEME} before it: $argon2id$ and its
//     kin, $2b$ and its kin, $bcrypt-sha256$, $scrypt$, $y$ (yescrypt),
//     $pbkdf2-sha256$ and its kin, $5$, $6$; $1$ and $apr1$ are weak;
//   - LDAP's {SHA}, {SSHA} (RFC 2307 §5.3), and with 256, 384 and 512 behind
//     them; {MD5} and {SMD5} are weak;
//   - OpenLDAP's {PBKDF2}, {PBKDF2-SHA1}, {PBKDF2-SHA256}, {PBKDF2-SHA512} and
//     {ARGON2};
//   - Dovecot's names for all these, its {PBKDF2}, and .b64 and .hex behind the
//     name of a scheme; its {LDAP-MD5}, {PLAIN-MD5} and {MD5-CRYPT} are weak;
//   - {SCRAM-SHA-1} and {SCRAM-SHA-256} as Dovecot and as RFC 5803 write them,
//     the latter without braces, too;
//   - {PLAIN}, {CLEAR}, {CLEARTEXT}, and text without a scheme that is nothing
//     of the above, are the password itself. Text without a scheme that begins
//     with "!" or "*" is none: so are accounts locked.
//
// Traditional DES crypt is never allowed, because it looks at eight
// characters only. What one verification costs is bounded: 256 MiB of memory
// and some seconds of one processor.
type Verifier struct {
	AllowWeak  bool // schemes over MD5
	AllowClear bool // passwords that are stored as they are
}

// ErrHash is what every error about a stored password is: empty, malformed,
// of an unknown scheme or of one that is not allowed, or more expensive than
// any honest one. Nothing of what is stored is in the error.
var ErrHash = errors.New("unusable password hash")

// Verify reports whether a password fits a stored one, in a time that tells
// nothing about either. What can't be used is ErrHash and fits nothing; an
// empty password fits nothing. Waiting for a processor ends with ctx.
func (v Verifier) Verify(ctx context.Context, stored, password string) (ok bool, err error) {
	m, err := v.decode(stored, honest)
	if err != nil {
		return false, err
	}
	if !possible(password) {
		return false, nil
	}
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	// Hashes made here are of the normal form; others are of what was typed.
	normal := norm.NFC.String(password)
	if ok, err = m.MatchAdvanced(normal); !ok && err == nil && normal != password {
		ok, err = m.MatchAdvanced(password)
	}
	if err != nil {
		return false, unusable(errBroken)
	}
	return ok, nil
}

// Kinds returns what can be checked against a stored password: Passwords, and
// the kind of its secret when it is one. ErrHash.
func (v Verifier) Kinds(stored string) (Kinds, error) {
	m, err := v.decode(stored, honest)
	switch m := m.(type) {
	case clearText:
		return Passwords | ClearSecrets, err
	case *storedSCRAM:
		return Passwords | m.secret, err
	case nil:
		return 0, err
	}
	return Passwords, err
}

// Secret returns what a SecretSource gives for a stored password: the secret
// of the scheme, or the one of scheme PLAIN from which it can be made; false
// when the stored password is neither.
func (v Verifier) Secret(stored, scheme string) (Secret, bool) {
	m, err := v.decode(stored, honest)
	if err != nil {
		return Secret{}, false
	}
	switch m := m.(type) {
	case clearText:
		return Secret{Scheme: schemePlain, Value: []byte(m)}, kindsOfScheme(scheme) != 0
	case *storedSCRAM:
		return Secret{Scheme: m.scheme, Value: m.keys.encode()}, m.scheme == scheme
	}
	return Secret{}, false
}

// matcher is a stored password of some scheme, decoded.
type matcher interface {
	MatchAdvanced(password string) (bool, error) // as in algorithm.Digest
}

func unusable(why error) error { return fmt.Errorf("%w: %w", ErrHash, why) }

// Reasons of ErrHash.
var (
	errLong      = errors.New("it is too long")
	errScheme    = errors.New("its scheme is unknown")
	errBroken    = errors.New("it is malformed")
	errExpensive = errors.New("its cost is out of bounds")
	errWeak      = errors.New("its scheme is weak, and such are not allowed")
	errClear     = errors.New("it is clear text, which is not allowed")
)
