-- The tables of the original, a Django service, as its last migrations leave them: those that a take-over reads. Written
-- from what its models say; names, types and constraints are as Django makes them for PostgreSQL.

CREATE TABLE django_migrations (
    id serial PRIMARY KEY,
    app varchar(255) NOT NULL,
    name varchar(255) NOT NULL,
    applied timestamptz NOT NULL
);
CREATE TABLE django_content_type (
    id serial PRIMARY KEY,
    app_label varchar(100) NOT NULL,
    model varchar(100) NOT NULL,
    UNIQUE (app_label, model)
);

CREATE TABLE auth_permission (
    id serial PRIMARY KEY,
    name varchar(255) NOT NULL,
    content_type_id integer NOT NULL REFERENCES django_content_type DEFERRABLE INITIALLY DEFERRED,
    codename varchar(100) NOT NULL,
    UNIQUE (content_type_id, codename)
);
CREATE TABLE auth_group (
    id serial PRIMARY KEY,
    name varchar(80) NOT NULL UNIQUE
);
CREATE TABLE auth_group_permissions (
    id serial PRIMARY KEY,
    group_id integer NOT NULL REFERENCES auth_group DEFERRABLE INITIALLY DEFERRED,
    permission_id integer NOT NULL REFERENCES auth_permission DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (group_id, permission_id)
);
CREATE TABLE auth_user (
    id serial PRIMARY KEY,
    password varchar(128) NOT NULL,
    last_login timestamptz,
    is_superuser boolean NOT NULL,
    username varchar(150) NOT NULL UNIQUE,
    first_name varchar(30) NOT NULL,
    last_name varchar(150) NOT NULL,
    email varchar(254) NOT NULL,
    is_staff boolean NOT NULL,
    is_active boolean NOT NULL,
    date_joined timestamptz NOT NULL
);
CREATE TABLE auth_user_groups (
    id serial PRIMARY KEY,
    user_id integer NOT NULL REFERENCES auth_user DEFERRABLE INITIALLY DEFERRED,
    group_id integer NOT NULL REFERENCES auth_group DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (user_id, group_id)
);
CREATE TABLE auth_user_user_permissions (
    id serial PRIMARY KEY,
    user_id integer NOT NULL REFERENCES auth_user DEFERRABLE INITIALLY DEFERRED,
    permission_id integer NOT NULL REFERENCES auth_permission DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (user_id, permission_id)
);
CREATE TABLE authtoken_token (
    key varchar(40) PRIMARY KEY,
    created timestamptz NOT NULL,
    user_id integer NOT NULL UNIQUE REFERENCES auth_user DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE contentstore_schedule (
    id serial PRIMARY KEY,
    minute varchar(64) NOT NULL,
    hour varchar(64) NOT NULL,
    day_of_week varchar(64) NOT NULL,
    day_of_month varchar(64) NOT NULL,
    month_of_year varchar(64) NOT NULL,
    scheduler_schedule_id uuid
);
CREATE TABLE contentstore_messageset (
    id serial PRIMARY KEY,
    short_name varchar(100) NOT NULL UNIQUE,
    notes text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    default_schedule_id integer NOT NULL REFERENCES contentstore_schedule DEFERRABLE INITIALLY DEFERRED,
    next_set_id integer REFERENCES contentstore_messageset DEFERRABLE INITIALLY DEFERRED,
    content_type varchar(20) NOT NULL,
    channel varchar(64),
    label varchar(100) NOT NULL
);
CREATE TABLE contentstore_binarycontent (
    id serial PRIMARY KEY,
    content varchar(100) NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE TABLE contentstore_message (
    id serial PRIMARY KEY,
    sequence_number integer NOT NULL,
    lang varchar(6) NOT NULL,
    text_content text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    binary_content_id integer REFERENCES contentstore_binarycontent DEFERRABLE INITIALLY DEFERRED,
    messageset_id integer NOT NULL REFERENCES contentstore_messageset DEFERRABLE INITIALLY DEFERRED,
    metadata jsonb NOT NULL,
    UNIQUE (messageset_id, sequence_number, lang)
);

CREATE TABLE subscriptions_subscription (
    id uuid PRIMARY KEY,
    identity varchar(36) NOT NULL,
    version integer NOT NULL,
    next_sequence_number integer NOT NULL,
    lang varchar(6) NOT NULL,
    active boolean NOT NULL,
    completed boolean NOT NULL,
    process_status integer NOT NULL,
    metadata jsonb,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by_id integer REFERENCES auth_user DEFERRABLE INITIALLY DEFERRED,
    updated_by_id integer REFERENCES auth_user DEFERRABLE INITIALLY DEFERRED,
    messageset_id integer NOT NULL REFERENCES contentstore_messageset DEFERRABLE INITIALLY DEFERRED,
    schedule_id integer NOT NULL REFERENCES contentstore_schedule DEFERRABLE INITIALLY DEFERRED,
    initial_sequence_number integer NOT NULL
);
CREATE INDEX subscriptions_subscription_identity ON subscriptions_subscription (identity);
CREATE TABLE subscriptions_subscriptionsendfailure (
    id serial PRIMARY KEY,
    task_id uuid NOT NULL,
    initiated_at timestamptz NOT NULL,
    reason text NOT NULL,
    subscription_id uuid NOT NULL REFERENCES subscriptions_subscription DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE subscriptions_estimatedsend (
    id serial PRIMARY KEY,
    send_date date NOT NULL,
    estimate_subscriptions integer NOT NULL,
    estimate_identities integer NOT NULL,
    messageset_id integer NOT NULL REFERENCES contentstore_messageset DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (send_date, messageset_id)
);
CREATE TABLE subscriptions_resendrequest (
    id serial PRIMARY KEY,
    received_at timestamptz NOT NULL,
    outbound uuid,
    message_id integer REFERENCES contentstore_message DEFERRABLE INITIALLY DEFERRED,
    subscription_id uuid NOT NULL REFERENCES subscriptions_subscription DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE subscriptions_behindsubscription (
    id serial PRIMARY KEY,
    messages_behind integer NOT NULL,
    current_sequence_number integer NOT NULL,
    expected_sequence_number integer NOT NULL,
    created_at timestamptz NOT NULL,
    current_messageset_id integer NOT NULL REFERENCES contentstore_messageset DEFERRABLE INITIALLY DEFERRED,
    expected_messageset_id integer NOT NULL REFERENCES contentstore_messageset DEFERRABLE INITIALLY DEFERRED,
    subscription_id uuid NOT NULL REFERENCES subscriptions_subscription DEFERRABLE INITIALLY DEFERRED
);
