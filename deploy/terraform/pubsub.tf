# Doorbells. The daemons make a subscription each, which lives as long as they do
# and expires a day later where they died.
resource "google_pubsub_topic" "doorbell" {
  name = var.topic

  depends_on = [google_project_service.needed]
}

# Events, in the order of their streams, for those who share the work in a group.
resource "google_pubsub_topic" "events" {
  name = var.events

  depends_on = [google_project_service.needed]
}

resource "google_pubsub_subscription" "group" {
  for_each = var.groups

  name                       = "${var.events}.${each.key}"
  topic                      = google_pubsub_topic.events.id
  ack_deadline_seconds       = 30
  message_retention_duration = "604800s"
  enable_message_ordering    = true

  expiration_policy {
    ttl = "" # never
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "60s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead.id
    max_delivery_attempts = 100
  }
}

# What nobody could take. Without a subscription it would be lost.
resource "google_pubsub_topic" "dead" {
  name = "${var.events}.dead"

  depends_on = [google_project_service.needed]
}

resource "google_pubsub_subscription" "dead" {
  name                       = google_pubsub_topic.dead.name
  topic                      = google_pubsub_topic.dead.id
  ack_deadline_seconds       = 30
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = "" # never
  }
}

# Pub/Sub itself moves the dead letters, and must be allowed to.
data "google_project" "this" {
  project_id = var.project

  depends_on = [google_project_service.needed]
}

locals {
  pubsub = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic_iam_member" "dead" {
  topic  = google_pubsub_topic.dead.name
  role   = "roles/pubsub.publisher"
  member = local.pubsub
}

resource "google_pubsub_subscription_iam_member" "dead" {
  for_each = google_pubsub_subscription.group

  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub
}
