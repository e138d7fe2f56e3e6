package auth

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
)

// maxHash bounds a stored password, in octets, and with it the key that is
// derived.
const maxHash = 512

// encoding is how the value of a scheme is written.
type encoding int

const (
	ownEncoding encoding = iota // the scheme's own
	base64Encoding
	hexEncoding
)

// decode reads a stored password of any scheme that is known and allowed.
func (v Verifier) decode(stored string, limit costs) (matcher, error) {
	if len(stored) > maxHash {
		return nil, unusable(errLong)
	}
	m, err := v.decodeScheme(stored, limit)
	if err != nil {
		return nil, unusable(err)
	}
	return m, nil
}

func (v Verifier) decodeScheme(stored string, limit costs) (matcher, error) {
	scheme, enc, value := cutScheme(stored)
	if d, ok := digestNamed(scheme); ok && !strings.HasPrefix(value, "$") {
		if d.weak && !v.AllowWeak {
			return nil, errWeak
		}
		return d.decode(enc, value)
	}
	value, err := enc.text(value)
	if err != nil {
		return nil, err
	}
	switch scheme {
	case "":
		return v.withoutScheme(value, limit)
	case "PLAIN", "CLEAR", "CLEARTEXT":
		return v.clear(value)
	case "SCRAM-SHA-1", "SCRAM-SHA-256":
		return decodeSCRAM(scheme, value, limit)
	case "PBKDF2", "PBKDF2-SHA1", "PBKDF2-SHA256", "PBKDF2-SHA512":
		return v.decodePBKDF2(scheme, value, limit)
	}
	return v.decodeCrypt(value, limit)
}

// withoutScheme reads what has no {SCHEME} before it.
func (v Verifier) withoutScheme(stored string, limit costs) (matcher, error) {
	switch {
	case stored == "" || stored[0] == '!' || stored[0] == '*':
		return nil, errBroken
	case stored[0] == '$':
		return v.decodeCrypt(stored, limit)
	}
	if scheme, value, ok := strings.Cut(stored, "$"); ok && (scheme == "SCRAM-SHA-1" || scheme == "SCRAM-SHA-256") {
		return decodeSCRAM(scheme, value, limit)
	}
	return v.clear(stored)
}

// clear reads a password that is stored as it is.
func (v Verifier) clear(password string) (matcher, error) {
	switch {
	case !v.AllowClear:
		return nil, errClear
	case !possible(password):
		return nil, errBroken
	}
	return clearText(password), nil
}

// decodePBKDF2 reads OpenLDAP's "iterations$salt$key" and Dovecot's
// "$1$salt$iterations$key".
func (v Verifier) decodePBKDF2(scheme, value string, limit costs) (matcher, error) {
	switch {
	case !strings.HasPrefix(value, "$"):
		return v.decodeCrypt("$"+strings.ToLower(scheme)+"$"+value, limit)
	case strings.HasPrefix(value, "$1$"):
		return decodeDovecotPBKDF2(value, limit)
	}
	return v.decodeCrypt(value, limit)
}

// cutScheme cuts "{SCHEME.encoding}value". Without braces scheme is empty.
func cutScheme(stored string) (scheme string, enc encoding, value string) {
	rest, ok := strings.CutPrefix(stored, "{")
	if !ok {
		return "", ownEncoding, stored
	}
	if scheme, value, ok = strings.Cut(rest, "}"); !ok {
		return "", ownEncoding, stored
	}
	scheme = strings.ToUpper(scheme)
	name, suffix, _ := strings.Cut(scheme, ".")
	switch suffix {
	case "B64", "BASE64":
		return name, base64Encoding, value
	case "HEX":
		return name, hexEncoding, value
	}
	if scheme == "" {
		scheme = "{}" // a scheme without a name is none that is known
	}
	return scheme, ownEncoding, value
}

// text takes an encoding off a value that is text in its scheme.
func (enc encoding) text(value string) (string, error) {
	if enc == ownEncoding {
		return value, nil
	}
	raw, err := enc.octets(value)
	return string(raw), err
}

// octets takes an encoding off a value; a scheme's own is base64, with or
// without padding.
func (enc encoding) octets(value string) (raw []byte, err error) {
	if enc == hexEncoding {
		raw, err = hex.DecodeString(value)
	} else {
		raw, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	}
	if err != nil {
		return nil, errBroken
	}
	return raw, nil
}

// digestScheme is a scheme of which the value is a digest of the password and
// the salt, then the salt.
type digestScheme struct {
	new    func() hash.Hash
	salted bool
	weak   bool
}

// digestNamed returns the scheme of that name, if it is one.
func digestNamed(scheme string) (digestScheme, bool) {
	switch scheme {
	case "SHA", "SHA1":
		return digestScheme{new: sha1.New}, true
	case "SSHA":
		return digestScheme{new: sha1.New, salted: true}, true
	case "SHA256":
		return digestScheme{new: sha256.New}, true
	case "SSHA256":
		return digestScheme{new: sha256.New, salted: true}, true
	case "SHA384":
		return digestScheme{new: sha512.New384}, true
	case "SSHA384":
		return digestScheme{new: sha512.New384, salted: true}, true
	case "SHA512":
		return digestScheme{new: sha512.New}, true
	case "SSHA512":
		return digestScheme{new: sha512.New, salted: true}, true
	case "MD5", "LDAP-MD5", "PLAIN-MD5":
		return digestScheme{new: md5.New, weak: true}, true
	case "SMD5":
		return digestScheme{new: md5.New, salted: true, weak: true}, true
	}
	return digestScheme{}, false
}
