package smtp

import (
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/mail"
)

// transaction is a message in the making (RFC 5321 §3.3).
type transaction struct {
	id       string
	envelope mail.Envelope
	asked    int     // RCPT commands so far
	refused  int     // recipients that were refused for being too many
	chunked  *intake // content that came by BDAT so far; nil before the first chunk
}

func newTransaction() *transaction { return &transaction{id: front.NewID()} }

func (t *transaction) close() {
	if t.chunked != nil {
		t.chunked.close()
	}
}
