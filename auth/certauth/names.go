package certauth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
)

// Emails returns the addresses that a certificate names as its subject's
// (rfc822Name, RFC 5280 §4.2.1.6). Internationalized ones (RFC 9598) are not
// looked at.
func Emails(leaf *x509.Certificate) []string { return leaf.EmailAddresses }

// CommonName returns the common name of a certificate's subject.
func CommonName(leaf *x509.Certificate) []string {
	if leaf.Subject.CommonName == "" {
		return nil
	}
	return []string{leaf.Subject.CommonName}
}

// Fingerprints returns the Names of a list: certificates by the SHA-256 hash
// of all their octets, in hexadecimal with or without colons, and the login
// each is good for. An entry that is no such hash is an error.
func Fingerprints(list map[string]string) (Names, error) {
	logins := make(map[[sha256.Size]byte]string, len(list))
	for text, login := range list {
		sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
		if err != nil || len(sum) != sha256.Size || login == "" {
			return nil, fmt.Errorf("%q is not the SHA-256 fingerprint of a certificate with a login", text)
		}
		logins[[sha256.Size]byte(sum)] = login
	}
	return func(leaf *x509.Certificate) []string {
		if login, ok := logins[sha256.Sum256(leaf.Raw)]; ok {
			return []string{login}
		}
		return nil
	}, nil
}
