"""The Twilio gateway: SMS and WhatsApp."""
