package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed sql/patient.sql
var patientSQL string

// spill writes the messages of one key's acceptances while the payload query's rows are read, so that no more than one
// part of them is held in memory.
type spill struct {
	recorder *Recorder
	task     *fault.Task
	tx       pgx.Tx
	taken    []*due
	screen   screen
	rows     int
	oversize []*oversize
	// skipped are the ids of messages that ended at once, for want of a URL.
	skipped []string
	// wrong is what is wrong with a row, storing what the database says to its messages; nil: nothing.
	wrong, storing error
}

// evaluateSpilling evaluates the acceptances of one key whose rows together are more than may be held in memory. All of
// it is written in one transaction, and nothing else is recorded meanwhile. failed: the query, or its result, is at
// fault.
func (v *Resolver) evaluateSpilling(ctx context.Context, list []*due) (failed, err error) {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	config := v.recorder.config
	ctx, cancel := bounded(ctx, config.QueryTimeout)
	defer cancel()
	s := &spill{recorder: v.recorder, task: v.task}
	var asking error
	err = v.recorder.writer.patiently(ctx, func(tx pgx.Tx) (err error) {
		s.tx, s.screen = tx, newScreen(storableURL(v.recorder.writer.encoding, config.DefaultURL))
		if _, err := tx.Exec(ctx, patientSQL, (config.QueryTimeout + resolveTimeout).Milliseconds()); err != nil {
			return err
		}
		if s.taken, err = take(ctx, tx, list); err != nil || len(s.taken) == 0 {
			return err
		}
		asking = v.reader.in(ctx, nil, func(snapshot) error {
			return v.reader.spilling(ctx, *s.taken[0].key, config.QueryTimeout, int(config.MaxBody), func(rows []payload) error {
				return s.write(ctx, rows)
			})
		})
		if asking == nil && s.rows == 0 {
			return errors.New("the payload query gave rows for a key, and none when it was asked again")
		}
		return asking
	})
	switch {
	case err == nil:
		s.report()
		v.task.Step()
		return nil, nil
	case unstorable(s.storing):
		return &refusal{s.storing}, nil
	case s.wrong != nil:
		return s.wrong, nil
	case asking != nil && s.storing == nil && !postgres.Unreachable(err) && ctx.Err() == nil:
		return asking, nil
	default:
		return nil, err
	}
}

// write adds the messages of some rows. They are left to be claimed: handing them over would keep their bodies.
func (s *spill) write(ctx context.Context, rows []payload) error {
	s.step()
	s.rows += len(rows)
	for i := range rows {
		if s.screen.pass(&rows[i]); rows[i].err != nil {
			s.wrong = &answerError{rows[i].err.Error()}
			return s.wrong
		}
	}
	var ready parcels
	for _, d := range s.taken {
		ready.add(s.recorder.opened.Load().systemID, d.acceptance, map[string][]payload{*d.key: rows})
	}
	for _, m := range ready.list {
		q := &pgx.Batch{}
		h := s.recorder.handOver(m)
		h.senders = nil
		h.queue(q, false)
		if s.storing = s.tx.SendBatch(ctx, q).Close(); s.storing != nil {
			return fmt.Errorf("storing a part of the messages of a large answer: %w", s.storing)
		}
		s.oversize, s.skipped = append(s.oversize, m.oversize), append(s.skipped, h.skipped...)
	}
	return nil
}

// step says that all gets on: this, and what waits to be recorded after it. The query's next rows may take their time.
func (s *spill) step() {
	s.task.Step()
	s.task.Allow(s.recorder.config.QueryTimeout)
	s.recorder.board.Progress(fault.CaptureFailing)
}

// report tells of what has been written.
func (s *spill) report() {
	for _, o := range s.oversize {
		o.report(s.recorder.unsent, s.recorder.log)
	}
	for _, id := range s.skipped {
		s.recorder.unsent.note(NoURL, id, uuid.Nil)
	}
	s.recorder.signal(len(s.taken) > 0, false)
}

// spilling runs the payload query for one key in the snapshot that is open, and hands its rows on as they come,
// maxBatch bytes of them at a time.
func (r *reader) spilling(ctx context.Context, key string, timeout time.Duration, maxBody int,
	write func([]payload) error) error {
	key, err := r.utf8Key(ctx, key)
	if err != nil {
		return err
	}
	if err := r.speakUTF8(ctx); err != nil {
		return err
	}
	found, err := r.runPrepared(ctx, []string{key}, timeout, bounds{body: maxBody, answer: maxBatch, spill: write})
	if err != nil {
		return err
	}
	return write(found.rows)
}

// utf8Key is a key of the database's encoding in UTF-8.
func (r *reader) utf8Key(ctx context.Context, key string) (string, error) {
	if !converts(r.conn) {
		return key, nil
	}
	byUTF8, _, err := utf8Keys(ctx, r.conn, []string{key})
	if err != nil {
		return "", err
	}
	for written := range byUTF8 {
		return written, nil
	}
	return "", errKeyNotUTF8
}
