package embedded

import (
	"maps"
	"slices"

	"github.com/posthouse-mail/posthouse/directory"
)

var _ directory.SecretSchemes = (*Directory)(nil)

// SecretSchemes returns the schemes of which every account with a password has
// a secret. It takes no longer when there are more accounts.
func (d *Directory) SecretSchemes() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.names.secretSchemes()
}

func (n *names) secretSchemes() []string {
	var schemes []string
	for _, scheme := range slices.Sorted(maps.Keys(n.withSecret)) {
		if n.withSecret[scheme] == n.withPassword {
			schemes = append(schemes, scheme)
		}
	}
	return schemes
}

// countSecrets counts an account in (by 1) or out (by -1).
func (n *names) countSecrets(a *account, by int) {
	if a.password == "" {
		return
	}
	n.withPassword += by
	for scheme := range a.secrets {
		if n.withSecret[scheme] += by; n.withSecret[scheme] == 0 {
			delete(n.withSecret, scheme)
		}
	}
}
