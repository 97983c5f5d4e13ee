-- The weekly mail on its way: what is sent, once for all who get it, and for each of them how that stands.

-- The mail but for its first lines, which are the recipient's own: From to the last attachment, as it leaves. What a
-- later try sends is made of these bytes and of nothing else.
CREATE TABLE ops.report_letters (
    letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    week text NOT NULL CHECK (week ~ '^[0-9]{4}-W[0-9]{2}$'),
    sender text NOT NULL,
    source bytea NOT NULL CHECK (octet_length(source) <= 40000000),
    run_id uuid,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row a recipient and week. `recipient` is the address as it is compared: all in small letters, its domain in ASCII.
-- `tries` counts the tries and is the number by which a late one is known. The states are told in reports/mailing.py.
CREATE TABLE ops.report_mails (
    mail_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    week text NOT NULL CHECK (week ~ '^[0-9]{4}-W[0-9]{2}$'),
    recipient text NOT NULL,
    address text NOT NULL,
    message_id text NOT NULL UNIQUE,
    letter_id bigint NOT NULL REFERENCES ops.report_letters,
    head bytea NOT NULL,
    state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'sending', 'sent', 'unknown', 'failed')),
    tries integer NOT NULL DEFAULT 0,
    way text NOT NULL DEFAULT '',
    error_message text,
    run_id uuid,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (week, recipient)
);
CREATE INDEX report_mails_by_letter ON ops.report_mails (letter_id);
CREATE INDEX report_mails_unsent ON ops.report_mails (mail_id) WHERE state <> 'sent';
