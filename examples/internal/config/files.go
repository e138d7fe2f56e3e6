package config

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"
)

// FirstLine returns the first line of a file, as secrets are kept in one; no
// file has none.
func FirstLine(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(strings.TrimRight(string(text), "\r\n"), "\n")
	return line, nil
}

// Authorities reads certificates (PEM).
func Authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}
