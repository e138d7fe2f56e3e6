//go:build unix

package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

func TestSignalsAreServedOneAfterTheOtherAndErrorsEndNothing(t *testing.T) {
	done := make(chan struct{})
	times := 0
	stop := OnSignal(t.Context(), syscall.SIGHUP, "reload", func(context.Context) error {
		times++
		done <- struct{}{}
		return errors.New("bad line")
	}, nil)
	for range 3 {
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		<-done
	}
	stop()
	require.Equal(t, 3, times)
}

// writeCertificate writes the test certificate and its key.
func writeCertificate(t *testing.T, cert, key string) {
	t.Helper()
	pair := testcert.Server().Certificates[0]
	secret, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}

func TestCertificateIsReadAgainAndABadOneIsNotUsed(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	_, err := OpenCertificate(cert, key)
	require.ErrorIs(t, err, os.ErrNotExist)
	writeCertificate(t, cert, key)
	c, err := OpenCertificate(cert, key)
	require.NoError(t, err)
	config := c.Config("imap")
	first, err := config.GetCertificate(&tls.ClientHelloInfo{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cert, []byte("none"), 0o600))
	require.Error(t, c.Reload())
	same, err := config.GetCertificate(&tls.ClientHelloInfo{})
	require.NoError(t, err)
	require.Same(t, first, same)
	writeCertificate(t, cert, key)
	require.NoError(t, c.Reload())
	next, err := config.GetCertificate(&tls.ClientHelloInfo{})
	require.NoError(t, err)
	require.NotSame(t, first, next)
}
