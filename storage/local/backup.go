package local

import "context"

// Backup copies the whole store, with the queue that shares its log, as it
// stands at one moment into a directory that must not exist yet, while mail
// goes on. Open opens the copy. What it needs of the log is linked where that
// is possible and copied where it is not; progress is told how many octets are
// done of how many. After an error nothing of the copy is left.
func (s *Store) Backup(ctx context.Context, dir string, progress func(done, total int64)) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return failure(s.e.Backup(ctx, dir, progress))
}
