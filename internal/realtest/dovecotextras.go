package realtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// configureExtras writes the part of the configuration that is not of every
// Dovecot.
func (d *Dovecot) configureExtras(extras []DovecotExtra) error {
	var b strings.Builder
	for _, e := range extras {
		switch e {
		case DovecotSieve:
			b.WriteString(sieveService(d.Sieve))
		case DovecotTrusts:
			b.WriteString("login_trusted_networks = 127.0.0.0/8\n")
		case DovecotTLS:
			if err := writeCertificate(d.dir); err != nil {
				return err
			}
			fmt.Fprintf(&b, "ssl = yes\nssl_cert = <%[1]s/cert.pem\nssl_key = <%[1]s/key.pem\n", d.dir)
		case DovecotVerbose:
			b.WriteString("auth_verbose = yes\n")
		}
	}
	return write(d.dir, "extras.conf", b.String())
}

// Log returns what the server has logged so far.
func (d *Dovecot) Log() string {
	log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	return string(log)
}

// sieveService serves ManageSieve on a port.
func sieveService(port int) string {
	return fmt.Sprintf(`
protocols = $protocols sieve
service managesieve-login {
  inet_listener sieve {
    port = %d
  }
  service_count = 0
}
`, port)
}
