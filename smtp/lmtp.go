package smtp

import "fmt"

func (e RecipientErrors) summary() string {
	failed := 0
	for _, err := range e {
		if err != nil {
			failed++
		}
	}
	return fmt.Sprintf("%d of %d recipients failed", failed, len(e))
}
