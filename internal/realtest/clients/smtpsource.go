package clients

import (
	"fmt"
	"testing"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// SMTPSource has Postfix's smtp-source send messages to one recipient, over
// several connections at once.
func SMTPSource(t testing.TB, address, subject, to string, messages int) {
	t.Helper()
	realtest.Require(t, "smtp-source")
	Run(t, t.TempDir(), "smtp-source", "-s", "4", "-m", fmt.Sprint(messages), "-l", "4096", "-S", subject, "-f", "someone@example.org", "-t", to, address)
}
