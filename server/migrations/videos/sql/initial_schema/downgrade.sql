DROP TABLE videos, users, camera_pins, malls;
