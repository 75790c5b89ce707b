variable "project" {
  description = "Id of the project. One of its own: who may make doorbells may read every subscription of the project."
  type        = string
}

variable "region" {
  description = "Where the daemons and the images are."
  type        = string
  default     = "europe-west4"
}

variable "location" {
  description = "Where the database is. It cannot be changed; a region is cheaper and faster than a multi-region."
  type        = string
  default     = "europe-west4"
}

variable "database" {
  description = "Id of the database."
  type        = string
  default     = "bank"
}

variable "topic" {
  description = "Topic of the doorbells, as in --notify."
  type        = string
  default     = "eventlog.commits"
}

variable "events" {
  description = "Topic that a Relay publishes events to."
  type        = string
  default     = "bank.events"
}

variable "groups" {
  description = "Who takes the events: the Groups of gcppubsub.Subscribers, each with a subscription of its own."
  type        = set(string)
  default     = ["inbox"]
}
