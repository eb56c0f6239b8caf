/** The wire contract: descriptors of all services, schemas and types of all messages and enums. */
export * from './gen/ironflow/v1/audit_service_pb.ts';
export * from './gen/ironflow/v1/entity_stream_service_pb.ts';
export * from './gen/ironflow/v1/environment_service_pb.ts';
export * from './gen/ironflow/v1/event_schema_service_pb.ts';
export * from './gen/ironflow/v1/ironflow_service_pb.ts';
export * from './gen/ironflow/v1/projection_service_pb.ts';
export * from './gen/ironflow/v1/pubsub_service_pb.ts';
export * from './gen/ironflow/v1/query_service_pb.ts';
export * from './gen/ironflow/v1/time_travel_service_pb.ts';
export * from './gen/ironflow/v1/types_pb.ts';
export * from './gen/ironflow/v1/webhook_service_pb.ts';
export * from './gen/ironflow/v1/worker_service_pb.ts';
